package metrics

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// mostScrapes is how many requests are answered at a time; those after them are told to come again.
const mostScrapes = 8

// handler answers scrapes. It writes the text formats itself; all else that there is to negotiate (protocol buffers, a
// choice of names) is client_golang's. Its own metrics have the names of client_golang's.
type handler struct {
	*catalogue
	log  promhttp.Logger // nil: not logged
	rest http.Handler

	atOnce                  atomic.Int64
	usual                   atomic.Int64     // bytes of a page
	served                  [3]atomic.Uint64 // by codes
	gathering, encoding     atomic.Uint64    // errors
	inFlight, codes, errors *family

	mu   sync.Mutex
	last negotiated
}

// negotiated is what an Accept header comes to: a scraper always sends the same.
type negotiated struct {
	accept      string
	contentType string // "": none yet
	format      format
	ours        bool // it is a text format with the names as they are
}

func newHandler(c *catalogue, log promhttp.Logger) *handler {
	h := &handler{
		catalogue: c, log: log,
		inFlight: c.gauge("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served."),
		codes:    c.counter("promhttp_metric_handler_requests_total", "Total number of scrapes by HTTP status code.", "code"),
		errors:   c.counter("promhttp_metric_handler_errors_total", "Total number of internal errors encountered by the promhttp metric handler.", "cause"),
	}
	h.rest = promhttp.HandlerFor(c, promhttp.HandlerOpts{
		ErrorLog:           h,
		ErrorHandling:      promhttp.ContinueOnError, // one bad series must not hide the others
		EnableOpenMetrics:  true,
		DisableCompression: true, // it takes as much CPU as all the rest, and 800 kB, for 20 kB
	})
	c.tellers(h)
	return h
}

// scrapeCodes are the status codes that a scrape may have.
func scrapeCodes() [3]int {
	return [...]int{http.StatusOK, http.StatusInternalServerError, http.StatusServiceUnavailable}
}

func (h *handler) tell() {
	h.inFlight.set(float64(h.atOnce.Load()))
	for i, code := range scrapeCodes() {
		h.codes.set(float64(h.served[i].Load()), strconv.Itoa(code))
	}
	h.errors.set(float64(h.encoding.Load()), "encoding")
	h.errors.set(float64(h.gathering.Load()), "gathering")
}

// Println counts an error in client_golang's words, and logs it.
func (h *handler) Println(words ...any) {
	if len(words) > 0 && words[0] == gatheringFailed {
		h.gathering.Add(1)
	} else {
		h.encoding.Add(1)
	}
	if h.log != nil {
		h.log.Println(words...)
	}
}

const gatheringFailed = "error gathering metrics:"

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &counted{ResponseWriter: w, status: http.StatusOK}
	defer h.atOnce.Add(-1)
	if h.atOnce.Add(1) > mostScrapes {
		http.Error(answer, "too many scrapes at a time", http.StatusServiceUnavailable)
	} else {
		h.serve(answer, r)
	}
	for i, code := range scrapeCodes() {
		if code == answer.status {
			h.served[i].Add(1)
		}
	}
}

func (h *handler) serve(w *counted, r *http.Request) {
	as := h.negotiate(r.Header)
	if !as.ours || r.URL.RawQuery != "" { // name[]=
		h.rest.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", as.contentType)
	w.Header().Set("Vary", "Accept")
	var into []byte
	if buffer, ok := w.ResponseWriter.(interface{ AvailableBuffer() []byte }); ok { // what is then written is there already
		into = buffer.AvailableBuffer()
	} else {
		into = make([]byte, 0, h.usual.Load()+512)
	}
	page, err := h.text(into, as.format)
	h.usual.Store(int64(len(page)))
	_, _ = w.Write(page) // the client may be gone
	switch {
	case errors.Is(err, errEncoding):
		h.Println("error encoding metric family:", err)
	case err != nil:
		h.Println(gatheringFailed, err)
	}
}

func (h *handler) negotiate(header http.Header) negotiated {
	accept := header.Get("Accept")
	if len(accept) > 1024 { // no scraper's: not to be kept
		return negotiate(header)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.contentType == "" || h.last.accept != accept {
		h.last = negotiate(header)
		h.last.accept = accept
	}
	return h.last
}

func negotiate(header http.Header) negotiated {
	contentType := expfmt.NegotiateAccept(header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	to := negotiated{contentType: string(contentType)}
	switch escaping := contentType.ToEscapingScheme(); escaping {
	case model.NoEscaping, model.UnderscoreEscaping: // all names are plain words
		switch contentType.FormatType() {
		case expfmt.TypeTextPlain:
			to.ours, to.format = true, plainText
		case expfmt.TypeOpenMetrics:
			to.ours, to.format = true, openMetrics
		}
	}
	return to
}
