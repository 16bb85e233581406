package nvidia

import (
	"fmt"
	"log/slog"
	"time"

	"wattmark/sampler"
)

// Config says where NVML is and how readings are stamped.
type Config struct {
	Library string        // file name or path of the library; "": libnvidia-ml.so.1, as the loader finds it
	Clock   sampler.Clock // stamps the readings; the sampler's
	Host    string        // goes into Info.Host
	Logger  *slog.Logger  // nil: silent
	// Patience is how long Open waits for all GPUs together; those that have not answered by then come with Late.
	// 0: 20 s, for without persistence mode the first call to each GPU wakes it up, which takes seconds.
	Patience time.Duration
	// Mismatch is told when NVML says that library and kernel driver differ in version: the driver was upgraded. This
	// process cannot load the new library, a new one can. It must not block; nil: nobody wants to know.
	Mismatch func(error)
}

// Awaited is a GPU that was asked who it is, and has not answered.
type Awaited struct {
	Index int       // NVML's
	Since time.Time // when it was asked
}

func (a Awaited) String() string {
	return fmt.Sprintf("GPU %d: a driver call has not returned for %.1f s", a.Index, time.Since(a.Since).Seconds())
}
