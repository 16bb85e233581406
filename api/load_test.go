package api

import (
	"io"
	"testing"
	"testing/synctest"
)

// hanging is a disk that answers when the channel is closed.
type hanging chan struct{}

func (h hanging) Read([]byte) (int, error) {
	<-h
	return 0, io.EOF
}

func (h hanging) Write(text []byte) (int, error) {
	<-h
	return len(text), nil
}

// Who waits for a disk has no turn meanwhile: however many do, others compute.
func TestADiskThatHangsHoldsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := &Server{load: newLoad()}, make(hanging)
		work := func(compute func(*turn)) {
			if err := s.inTurns(compute); err != nil {
				t.Error(err)
			}
		}
		for range 2 * atWork {
			go work(func(t *turn) { _, _ = io.ReadAll(fromDisk{disk, t}) })
			go work(func(t *turn) { _, _ = toDisk{disk, t}.Write([]byte("text")) })
		}
		synctest.Wait() // all of them hang
		done := false
		if err := s.inTurn(func() { done = true }); err != nil || !done {
			t.Errorf("beside them: %v, %v", done, err)
		}
		close(disk)
		synctest.Wait()
		if !s.load.work.TryAcquire(atWork) {
			t.Error("a turn is not given back")
		}
	})
}
