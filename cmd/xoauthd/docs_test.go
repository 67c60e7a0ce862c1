package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/proxy"
)

// documents are the paths of the documents for people, from the top of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/providers/*.md"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		for _, file := range found {
			all = append(all, strings.TrimPrefix(filepath.ToSlash(file), "../../"))
		}
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestManual holds the manual to the commands and options that there are.
func TestManual(t *testing.T) {
	manual := strings.ReplaceAll(read(t, "man/xoauthd.8"), `\-`, "-")
	for _, c := range command().Commands() {
		if c.Name() == "help" {
			continue
		}
		if !strings.Contains(manual, "\n.It Cm "+c.Name()) {
			t.Errorf("command %s is not in the manual", c.Name())
		}
		if c.Name() != "completion" {
			flagsIn(t, c, manual)
		}
	}
	flagsIn(t, command(), manual)
}

func flagsIn(t *testing.T, c *cobra.Command, manual string) {
	t.Helper()
	for _, option := range regexp.MustCompile(`--[a-z-]+`).FindAllString(c.UsageString(), -1) {
		if !strings.Contains(manual, option[1:]) {
			t.Errorf("option %s of %s is not in the manual", option, c.Name())
		}
	}
}

// TestMetricsDocumented: the manual and docs/metrics.md have every metric, and no
// document has another.
func TestMetricsDocumented(t *testing.T) {
	r := prometheus.NewRegistry()
	proxy.NewMetrics(r)
	there := map[string]bool{
		"xoauthd_build_info":                           true,
		"xoauthd_certificate_expiry_timestamp_seconds": true,
		"xoauthd_log_lines_dropped_total":              true,
		"xoauthd_accept_errors_total":                  true,
		"xoauthd_http_connections_evicted_total":       true,
		"xoauthd_connections_refused_total":            true,
		"xoauthd_state_directory_full":                 true,
		"xoauthd_messages_total":                       true,
		"xoauthd_message_bytes":                        true,
		"xoauthd_message_seconds":                      true,
	}
	described := make(chan *prometheus.Desc, 100)
	oauth.NewMetrics().Describe(described)
	password.NewMetrics().Describe(described)
	auth.NewAccountCollector(nil).Describe(described)
	oauth.NewProviderCollector(nil).Describe(described)
	r.Describe(described)
	close(described)
	name := regexp.MustCompile(`fqName: "(\w+)"`)
	for d := range described {
		there[name.FindStringSubmatch(d.String())[1]] = true
	}
	if len(there) < 18 {
		t.Errorf("there are %d metrics", len(there))
	}
	for _, file := range append([]string{"man/xoauthd.8"}, documents(t)...) {
		text := read(t, file)
		for metric := range there {
			if (file == "man/xoauthd.8" || file == "docs/metrics.md") && !strings.Contains(text, metric) {
				t.Errorf("%s does not mention %s", file, metric)
			}
		}
		for _, mentioned := range regexp.MustCompile(`xoauthd_\w+`).FindAllString(text, -1) {
			if !there[mentioned] {
				t.Errorf("%s mentions %s, which is not there", file, mentioned)
			}
		}
	}
}
