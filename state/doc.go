// Package state keeps what a restart needs: the readings, appended to wattmark_readings.csv, and the open windows, in
// wattmark_marks.json, which is replaced in one step when they change.
//
// What was handed to the system survives the end of this process at any point, kill -9 included; a flush to disk
// follows each mark, so that a power failure costs at most what came after the last one. Nobody waits for the disk but
// a mark, and that for half a second at most: a reading that does not fit into the buffer is dropped and counted.
//
// A folder belongs to one process at a time: it is locked.
package state
