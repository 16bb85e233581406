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
	// Mismatch is told when NVML says that library and kernel driver differ in version: the driver was upgraded. This
	// process cannot load the new library, a new one can. It must not block; nil: nobody wants to know.
	Mismatch func(error)
}
