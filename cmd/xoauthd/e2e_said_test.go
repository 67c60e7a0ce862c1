package main_test

import (
	"html"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// testMetricNames compares the metric names with testdata/e2e/metrics.txt, because
// dashboards depend on them. It ignores the metrics of Go and of the process.
func testMetricNames(t *testing.T, e *env) {
	d := e.scanned(t, "") // so that messages of devices are counted
	_, messages := d.get(t, d.metrics, "/metrics")
	d.expire(t) // which restarts the daemon, so that the token is refreshed
	d.worksEverywhere(t)
	_, page := d.get(t, d.metrics, "/metrics")
	var got []string
	for line := range strings.Lines(messages + page) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		if ok && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			got = append(got, strings.Join(strings.Fields(name), " "))
		}
	}
	slices.Sort(got)
	got = slices.Compact(got)
	b, err := os.ReadFile("testdata/e2e/metrics.txt")
	must(t, err)
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("the metrics are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	contains(t, "metrics", page, "\n# TYPE go_goroutines gauge\n", "\n# TYPE process_open_fds gauge\n")
}

// testSecrets searches all output of the daemons of all scenarios, at log level debug, for
// each secret.
func testSecrets(t *testing.T, envs []*env) {
	t.Run("by one more daemon", func(t *testing.T) { envs[0].authorized(t).worksEverywhere(t) })
	all, said := make(map[string]string), make(map[string]string)
	for _, e := range envs {
		maps.Copy(all, e.secrets.list())
		maps.Copy(said, e.said)
	}
	search := newSearch(slices.Collect(maps.Keys(all)))
	for where, text := range said {
		text = html.UnescapeString(text) // of pages; a log stays as it is
		for secret := range search.in(text) {
			if what := all[secret]; what != state || !strings.Contains(where, "/terminal-") {
				t.Errorf("%s: %s", where, what) // without the secret itself
			}
		}
	}
	count := make(map[string]int)
	for _, what := range all {
		count[what]++
	}
	t.Logf("secrets: %v; places: %d", count, len(said))

	// These checks make sure that there were secrets and output to search.
	for _, what := range []string{
		"client secret", "password", "password hash", "authorization code", "PKCE verifier", state,
		"access token", "refresh token", "device code", "assertion",
	} {
		if count[what] == 0 {
			t.Errorf("no %s is known", what)
		}
	}
	var everything strings.Builder
	for _, text := range said {
		everything.WriteString(text)
	}
	contains(t, "what was said", everything.String(), "level=DEBUG", "peer=upstream", "peer=client",
		"xoauthd_sessions_total", "What happened", `"running": true`, "serve\x00--config\x00", "< 235 ", "< 454 ")
}
