package nvidia

import (
	"log/slog"

	"wattmark/sampler"
)

// Config says where NVML is and how readings are stamped.
type Config struct {
	Library string        // file name or path of the library; "": libnvidia-ml.so.1, as the loader finds it
	Clock   sampler.Clock // stamps the readings; the sampler's
	Host    string        // goes into Info.Host
	Logger  *slog.Logger  // nil: silent
}
