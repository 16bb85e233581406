package main

import (
	"context"
	"log/slog"
	"net"

	"wattmark/api"
	"wattmark/dcgm"
	"wattmark/sampler"
)

// dcgmFlags open a second listener for programs that read NVIDIA's dcgm-exporter.
type dcgmFlags struct {
	DCGMListen string `name:"dcgm-listen" placeholder:"ADDRESS" help:"Also answer scrapes as dcgm-exporter does, e.g. :9400, for AIPerf, srt-slurm and dashboards."`
	DCGMNames  string `name:"dcgm-names" default:"legacy" enum:"legacy,current,both" help:"Metric names and units there: legacy (exporter up to 4.8), current (4.9) or both."`
}

// serveDCGM answers scrapes until ctx ends. A port that is taken is a warning: the measurement goes on without it.
func (f dcgmFlags) serveDCGM(ctx context.Context, samples *sampler.Sampler, log *slog.Logger) {
	if f.DCGMListen == "" {
		return
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.DCGMListen)
	if err != nil {
		log.Warn("no listener for DCGM names; choose another address with --dcgm-listen", "err", err)
		return
	}
	web := api.Web(dcgm.New(samples, dcgm.Names(f.DCGMNames)), log)
	log.Info("listening for scrapes of DCGM names", "dcgm_address", l.Addr().String(), "names", f.DCGMNames)
	context.AfterFunc(ctx, func() { _ = web.Close() })
	go func() { _ = web.Serve(l) }()
}
