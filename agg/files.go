package agg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"wattmark/internal/atomicfile"
	"wattmark/window"
)

// Files is what Write writes, by path.
type Files struct {
	Aggregate  string // "": none
	Validation string // "": none
	Sources    Sources
	Extra      bool // ExtraKeys too
	MustExist  bool // a missing aggregate is a failure: nobody will patch it later
	// MaxBytes is the largest aggregate that there is memory for; it is held twice. 0: MaxAggregate.
	MaxBytes int64
}

// maxValidation is more than the validation file of 64 GPUs. That of a fleet may be as large again as the new one.
const maxValidation = 2 << 20

// What became of the aggregate: window.Aggregate.Status.
const (
	StatusNone    = "none"    // none was named
	StatusPatched = "patched" // it holds the result now
	StatusPending = "pending" // it does not exist yet
	StatusFailed  = "failed"  // it is as it was; the detail says why
)

// Write patches the aggregate and then writes the validation file, both inside root. Whatever goes wrong with the
// aggregate is in what it returns and in the validation file's reasons; the error concerns the validation file.
// A file that holds the right bytes already is not touched. Both files have one writer at a time.
func Write(root *os.Root, r window.Result, f Files) (window.Aggregate, error) {
	return write(r, f, func(path string) (*os.Root, string, error) {
		same, err := root.OpenRoot(".")
		return same, path, err
	})
}

// WritePaths is Write for paths of this host, wherever they are. The validation file's folder is created.
func WritePaths(r window.Result, f Files) (window.Aggregate, error) {
	if f.Validation != "" {
		// If this fails, so does writing there, and that says why.
		_ = os.MkdirAll(filepath.Dir(f.Validation), 0o755)
	}
	return write(r, f, atomicfile.OpenParent)
}

// place opens the folder that a path is relative to, and returns the path in it.
type place func(path string) (*os.Root, string, error)

func write(r window.Result, f Files, at place) (window.Aggregate, error) {
	aggregate, reason := patchAggregate(r, f, at)
	if reason != "" {
		r.Reasons = append(r.AllReasons(), reason) // last, as in InferenceX
	}
	if f.Validation == "" {
		return aggregate, nil
	}
	return aggregate, writeValidation(r, f, at)
}

// patchAggregate returns what became of the aggregate, and the reason if it failed.
func patchAggregate(r window.Result, f Files, at place) (window.Aggregate, window.Reason) {
	a := window.Aggregate{Path: f.Aggregate, Status: StatusPatched, Outcome: "ok"}
	if f.Aggregate == "" {
		a.Status, a.Outcome = StatusNone, ""
		return a, ""
	}
	err := patchFile(r, f, at)
	if err == nil {
		return a, ""
	}
	a.Detail, a.Outcome = err.Error(), outcome(err)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case errors.Is(err, atomicfile.ErrNotDurable):
		return a, ""
	case missing && !f.MustExist:
		a.Status, a.Detail = StatusPending, "it does not exist yet; wattmark aggregate patches it later"
		return a, ""
	case missing:
		a.Status = StatusFailed
		return a, window.AggregateMissing
	default:
		a.Status = StatusFailed
		return a, window.AggregateUnwritable
	}
}

// outcome sorts what went wrong with an aggregate, for counting.
func outcome(err error) string {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case is(fs.ErrNotExist):
		return "missing"
	case is(ErrForbidden, ErrOwnFile, atomicfile.ErrName, atomicfile.ErrNotRegular, atomicfile.ErrLink, atomicfile.ErrTooLarge):
		return "unsafe"
	case is(atomicfile.ErrChanged):
		return "conflict"
	default:
		return "io"
	}
}

// most is the size up to which an aggregate is patched.
func (f Files) most() int64 {
	if f.MaxBytes <= 0 {
		return MaxAggregate
	}
	return min(f.MaxBytes, MaxAggregate)
}

func patchFile(r window.Result, f Files, at place) error {
	path := f.Aggregate
	if err := CheckAggregateName(path); err != nil {
		return err
	}
	keys, err := Keys(r)
	if err != nil {
		return err
	}
	if f.Extra {
		keys = append(keys, ExtraKeys(r)...)
	}
	root, name, err := at(path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	old, id, err := atomicfile.Read(root, name, f.most())
	if errors.Is(err, atomicfile.ErrTooLarge) && f.most() < MaxAggregate {
		err = fmt.Errorf("%w, under this memory limit; wattmark aggregate --window patches it later", err)
	}
	if err != nil {
		return err
	}
	patched, err := Patch(old, keys)
	if err != nil {
		return fmt.Errorf("patch %s: %w", path, err)
	}
	if bytes.Equal(patched, old) {
		return nil
	}
	return atomicfile.Replace(root, name, patched, id)
}

func writeValidation(r window.Result, f Files, at place) error {
	data, err := Validation(r, f.Sources)
	if err != nil {
		return fmt.Errorf("validation file %s: %w", f.Validation, err)
	}
	root, name, err := at(f.Validation)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	old, id, err := oldValidation(root, name, maxValidation+2*int64(len(data)))
	if err != nil || bytes.Equal(old, data) {
		return err
	}
	return atomicfile.Replace(root, name, data, id)
}

// CheckValidation says whether name can become the validation file: see CheckValidationName; and if there is a file,
// it is a validation file.
func CheckValidation(root *os.Root, name string) error {
	_, _, err := oldValidation(root, name, maxValidation)
	return err
}

// oldValidation reads the validation file that is there, if any, and if it has so many bytes at most.
func oldValidation(root *os.Root, name string, most int64) ([]byte, atomicfile.Identity, error) {
	if err := CheckValidationName(name); err != nil {
		return nil, atomicfile.Identity{}, err
	}
	old, id, err := atomicfile.Read(root, name, most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, atomicfile.Identity{}, nil
	}
	if err == nil && !isValidation(old) {
		err = fmt.Errorf("%s: %w", name, ErrNotValidation)
	}
	return old, id, err
}

// isValidation tells a validation file from an aggregate and from a window file.
func isValidation(data []byte) bool {
	seen := map[string]bool{}
	s := scan(data)
	err := s.object(func(key string, _ int64) error {
		switch key {
		case "schema_version", "power_valid", "gpus":
			seen[key] = true
		}
		return s.skip()
	})
	s.space()
	return err == nil && s.pos == len(data) && seen["schema_version"] && seen["power_valid"] && !seen["gpus"]
}
