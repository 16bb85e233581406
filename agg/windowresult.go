package agg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"wattmark/window"
)

// maxResult is how long the result in a window file may be: 256 GPUs have 300 kB.
const maxResult = 4 << 20

// DecodeResult reads the result in a window file, and of its readings, which may be 70 MB, nothing.
func DecodeResult(r io.Reader) (window.Result, error) {
	var result window.Result
	decoder := json.NewDecoder(io.LimitReader(r, maxResult))
	if brace, err := decoder.Token(); err != nil || brace != json.Delim('{') {
		return result, errors.Join(errors.New("not a window file"), err)
	}
	object := map[string]json.RawMessage{}
	for {
		key, err := decoder.Token()
		if err != nil {
			return result, err
		}
		if key == "limits" || key == json.Delim('}') { // it and series come after the result
			break
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return result, err
		}
		object[fmt.Sprint(key)] = value
	}
	if object["schema_version"] == nil {
		return result, errors.New("not a window file")
	}
	text, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	return result, err
}
