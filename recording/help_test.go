package recording_test

import "strings"

const nvidiaHeader = "timestamp, index, power.draw [W], temperature.gpu, clocks.current.sm [MHz], " +
	"clocks.current.memory [MHz], utilization.gpu [%], utilization.memory [%]\n"

// amdHeader is what amd-smi 26.1 prints for an MI300 (facts/amd-smi.md, section 3).
var amdHeader = "timestamp,gpu,gfx_activity,umc_activity,mm_activity,vcn_activity,jpeg_activity,gfx_busy_inst_xcp_0," +
	"jpeg_busy_xcp_0,vcn_busy_xcp_0,socket_power,gfx_voltage,soc_voltage,mem_voltage,throttle_status,power_management," +
	clocksOf("gfx_0", "gfx_1", "gfx_2", "gfx_3", "gfx_4", "gfx_5", "gfx_6", "gfx_7", "mem_0", "vclk_0", "vclk_1", "vclk_2",
		"vclk_3", "dclk_0", "dclk_1", "dclk_2", "dclk_3", "fclk_0", "socclk_0") + "edge,hotspot,mem\n"

func clocksOf(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		for _, what := range []string{"_clk,", "_min_clk,", "_max_clk,", "_clk_locked,", "_deep_sleep,"} {
			b.WriteString(name + what)
		}
	}
	return b.String()
}
