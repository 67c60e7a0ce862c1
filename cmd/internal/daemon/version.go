package daemon

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Version is the version of the program, as the build knows it: a tag, or a
// commit, or "(devel)".
func Version() string {
	version, revision, dirty := "(devel)", "", ""
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if version != "(devel)" {
		return version
	}
	return version + revision + dirty
}

// buildInfo is the metric that tells which program runs.
func buildInfo() prometheus.Collector {
	goVersion := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "xoauthd_build_info",
		Help:        "Always 1; the labels tell the version.",
		ConstLabels: prometheus.Labels{"version": Version(), "goversion": goVersion},
	}, func() float64 { return 1 })
}
