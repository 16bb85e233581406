package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

// An answer in its turn says how long it is, whatever it was before, and its status stays.
func TestInTurn(t *testing.T) {
	s := &Server{load: newLoad()}
	answers := []string{"short", strings.Repeat("long ", 5000), "", "short"}
	handler := s.InTurn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, answers[len(r.URL.Path)-1])
	}))
	server := httptest.NewServer(handler)
	defer server.Close()
	for i, want := range answers {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			request, _ := http.NewRequest(method, server.URL+"/"+strings.Repeat("x", i), nil)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if method == http.MethodHead && string(body) != "" || method == http.MethodGet && string(body) != want || err != nil ||
				response.ContentLength != int64(len(want)) || response.StatusCode != http.StatusAccepted {
				t.Errorf("%s %d: status %d, length %d of %d, %v", method, i, response.StatusCode, response.ContentLength, len(want), err)
			}
		}
	}
}
