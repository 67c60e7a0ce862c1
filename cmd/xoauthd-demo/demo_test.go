package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/xoauthd/xoauthd/internal/testing/browser"
)

// A running is a demo process and its output.
type running struct {
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer // all that it has written
	done chan int
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// begin runs the demo until the end of the test, and then checks that nothing is left.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, done: make(chan int, 1)}
	go func() { r.done <- run(ctx, args, r, r) }()
	t.Cleanup(func() {
		cancel()
		select {
		case status := <-r.done:
			if status != 0 {
				t.Errorf("exit status %d; output:\n%s", status, r.output())
			}
		case <-time.After(30 * time.Second):
			t.Error("the demo does not end")
		}
		if left, _ := filepath.Glob(filepath.Join(temp, "xoauthd-demo-*")); len(left) > 0 {
			t.Errorf("it leaves behind %v", left)
		}
	})
	deadline := time.After(30 * time.Second)
	for !strings.Contains(r.output(), "listener=metrics") {
		select {
		case status := <-r.done:
			t.Fatalf("exit status %d; output:\n%s", status, r.output())
		case <-deadline:
			t.Fatalf("it does not start:\n%s", r.output())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return r
}

// commands returns the shell commands that the demo has printed.
type commands struct{ send, read, status, check, revoke string }

func (r *running) commands() commands {
	r.t.Helper()
	printed := regexp.MustCompile(`(?m)^     (printf (?:.*[\\|]\n     *)*.*|curl .*|go run .*)$`).FindAllString(r.output(), -1)
	if len(printed) != 5 {
		r.t.Fatalf("%d commands in:\n%s", len(printed), r.output())
	}
	return commands{printed[0], printed[1], printed[2], printed[3], printed[4]}
}

// sh runs a shell command, and returns its output.
func (r *running) sh(command string) (string, error) {
	r.t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			r.t.Fatal("curl is not installed, and XOAUTHD_E2E=required")
		}
		r.t.Skip("curl is not installed: what the demo prints is not tried")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // to build, too
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", command)
	sh.Dir = "../.."
	shown, err := sh.CombinedOutput()
	return string(shown), err
}

func TestAuthorized(t *testing.T) {
	r := begin(t, "--authorized")
	c := r.commands()
	for _, step := range []struct {
		command, want string
		fails         bool
	}{
		{command: c.send},
		{command: c.read, want: "It works."},
		{command: c.status, want: "  authorized  "},
		{command: c.check, want: "IMAP login"},
		{command: c.revoke + " --yes", want: "has revoked it"}, // --yes: standard input is not a terminal
		{command: c.status, want: "  needs authorization  ", fails: true},
		{command: c.read, want: "[CONTACTADMIN]", fails: true},
	} {
		shown, err := r.sh(step.command)
		if (err != nil) != step.fails || !strings.Contains(shown, step.want) {
			t.Fatalf("%s\n%v\n%s", step.command, err, shown)
		}
	}
}

// TestPerson logs in before authorization, authorizes in a browser with the wrong mailbox
// and then with the right one, and logs in again.
func TestPerson(t *testing.T) {
	r := begin(t)
	c := r.commands()
	link := regexp.MustCompile(`http://localhost:\d+/authorize/\S+`).FindString(r.output())
	for _, command := range []string{c.send, c.read} {
		if shown, err := r.sh(command); err == nil || !strings.Contains(shown, "open "+link) {
			t.Errorf("before authorization, %s\n%v\n%s", command, err, shown)
		}
	}

	ctx, cancel := context.WithTimeout(browser.Start(t), time.Minute)
	defer cancel()
	verdict := func(mailbox string) string {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(link)); err != nil {
			t.Fatal(err)
		}
		r.click(ctx, "form button")
		r.click(ctx, `input[value="`+mailbox+`"]`)
		r.click(ctx, `button[value="allow"]`)
		text := r.eval(ctx, `document.querySelector(".verdict") && document.querySelector("main").innerText`)
		r.picture(ctx, "demo-"+mailbox)
		return text
	}
	if text := verdict(bob); !strings.Contains(text, "was not authorized") {
		t.Errorf("with the wrong mailbox: %s", text)
	}
	if shown, err := r.sh(c.send); err == nil {
		t.Errorf("a grant for the wrong mailbox was kept: %s", shown)
	}
	if text := verdict(alice); !strings.Contains(text, "is authorized") {
		t.Errorf("with the right mailbox: %s", text)
	}
	if shown, err := r.sh(c.send); err != nil {
		t.Errorf("after authorization, %s\n%v\n%s", c.send, err, shown)
	}
	if shown, err := r.sh(c.read); err != nil || !strings.Contains(shown, "It works.") {
		t.Errorf("after authorization, %s\n%v\n%s", c.read, err, shown)
	}
}

// click clicks on an element as soon as it exists.
func (r *running) click(ctx context.Context, selector string) {
	r.t.Helper()
	r.eval(ctx, fmt.Sprintf(`(e => e && (e.click(), "clicked"))(document.querySelector(%q))`, selector))
}

// eval returns the value of a script in the page as soon as it is not empty. Until then
// the browser may show another page.
func (r *running) eval(ctx context.Context, script string) string {
	r.t.Helper()
	for {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](script+` || ""`))
		if err == nil && text != "" {
			return text
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("%s: %q, %v", script, text, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// picture stores a screenshot of the page in $XOAUTHD_SCREENSHOTS, if that is set.
func (r *running) picture(ctx context.Context, name string) {
	folder := os.Getenv("XOAUTHD_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// TestTwo runs two demos at once: the second finds other ports.
func TestTwo(t *testing.T) {
	first, second := begin(t), begin(t)
	for _, r := range []*running{first, second} {
		metrics := regexp.MustCompile(`http://\S+/metrics`).FindString(r.output())
		answer, err := http.Get(metrics)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !bytes.Contains(body, []byte("xoauthd_build_info")) {
			t.Errorf("%s: %v\n%s", metrics, err, body)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--help"}, 0, "usage: xoauthd-demo"},
		{[]string{"--nonsense"}, 2, "usage: xoauthd-demo"},
		{[]string{"nonsense"}, 2, "usage: xoauthd-demo"},
		{[]string{"--log", "loud"}, 2, `--log "loud" is not one of`},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), test.args, &out, &out); status != test.status || !strings.Contains(out.String(), test.want) {
			t.Errorf("%q: exit status %d, %s", test.args, status, &out)
		}
	}
}
