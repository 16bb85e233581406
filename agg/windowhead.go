package agg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"wattmark/internal/atomicfile"
	"wattmark/window"
)

// WindowHead is the begin of a window's file: all but the readings.
type WindowHead struct {
	Answer []byte // what mark-end answered, to the byte
	Result window.Result
	Mark   json.RawMessage // what the daemon needs to go on with the window; nil in files of older versions
}

// maxHead is more than the result of 64 GPUs and what was asked of it.
const maxHead = 1 << 20

var errNoWindowFile = errors.New("not a window's file")

// ReadWindowHead reads the begin of a window's file.
func ReadWindowHead(root *os.Root, name string) (WindowHead, error) {
	file, _, err := atomicfile.Open(root, name)
	if err != nil {
		return WindowHead{}, err
	}
	defer func() { _ = file.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(file, maxHead))
	if err != nil {
		return WindowHead{}, fmt.Errorf("read %s: %w", name, err)
	}
	head, err := parseHead(text)
	if err != nil {
		return WindowHead{}, fmt.Errorf("read %s: %w", name, err)
	}
	return head, nil
}

// parseHead cuts the text where EncodeWindow joins it. Inside a string of JSON these marks cannot stand: its quotes have
// a backslash before them.
func parseHead(text []byte) (WindowHead, error) {
	answer, rest, ok := bytes.Cut(text, []byte(`,"limits":`))
	if !ok {
		return WindowHead{}, errNoWindowFile
	}
	head := WindowHead{Answer: append(bytes.Clone(answer), "}\n"...)}
	if err := json.Unmarshal(head.Answer, &head.Result); err != nil {
		return WindowHead{}, err
	}
	more, _, ok := bytes.Cut(rest, []byte(`,"series":[`))
	if !ok {
		return WindowHead{}, errNoWindowFile
	}
	var members struct {
		Mark json.RawMessage `json:"mark"`
	}
	if err := json.Unmarshal(fmt.Appendf(nil, `{"limits":%s}`, more), &members); err != nil {
		return WindowHead{}, err
	}
	head.Mark = members.Mark
	return head, nil
}
