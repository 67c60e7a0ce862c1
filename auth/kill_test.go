package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/children"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// What the process that TestKill starts is told: the store to use, and the
// provider to ask.
const (
	childDir      = "XOAUTHD_TEST_STORE"
	childProvider = "XOAUTHD_TEST_PROVIDER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println(refreshForever(dir, os.Getenv(childProvider)))
		os.Exit(1)
	}
	children.Supervise()
	os.Exit(m.Run())
}

// refreshForever is a daemon whose tokens are refused one after the other. It
// says which one it has each time.
func refreshForever(dir, endpoint string) error {
	s, err := store.Open(dir, store.Encryption{})
	if err != nil {
		return err
	}
	p := remote(endpoint)
	stale := ""
	for {
		token, err := NewAccount("joe", p, oauth.Consent{}, s, nil).Token(context.Background(), stale)
		if err != nil {
			return err
		}
		if _, err := fmt.Println("has", token); err != nil {
			return err
		}
		stale = token
	}
}

// remote is the provider at a token endpoint on this machine.
func remote(endpoint string) *oauth.Provider {
	return &oauth.Provider{
		Name:   "example",
		OAuth:  oauth2.Config{ClientID: "client", Endpoint: oauth2.Endpoint{TokenURL: endpoint}},
		Client: oauth.NewHTTPClient(nil, nil),
	}
}

// A killing is a folder, its provider, and what came of one kill after another.
type killing struct {
	dir string

	mu       sync.Mutex
	provider rotator

	kept, cut, lost int
}

func newKilling(t *testing.T, forgiving bool) *killing {
	k := &killing{dir: stateDir(t), provider: rotator{forgiving: forgiving}}
	s := openStore(t, k.dir)
	defer s.Close()
	for _, account := range []string{"joe", "ann"} {
		if err := s.Save(account, granted(0)); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *killing) answer(n int, form url.Values) (int, string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.provider.answer(n, form)
}

// ServeHTTP is the provider as another process sees it.
func (k *killing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm() // what is wrong with it is in the answer
	status, body := k.answer(0, r.PostForm)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// However often a daemon is killed while it refreshes, at moments of no meaning,
// its grant is the last that it used, or the one after. All that can be lost is
// an answer that was on its way; a provider that ends a grant for that, because
// the token before it is used again, leaves no way but a new authorization.
func TestKill(t *testing.T) {
	if testing.Short() && os.Getenv("XOAUTHD_E2E") != "required" {
		t.Skip("starting and killing processes takes seconds")
	}
	const kills, folders = 200, 4
	for _, forgiving := range []bool{false, true} {
		t.Run(fmt.Sprintf("forgiving=%v", forgiving), func(t *testing.T) {
			var all [folders]*killing
			t.Run("folders", func(t *testing.T) {
				for i := range all {
					all[i] = newKilling(t, forgiving)
					t.Run(strconv.Itoa(i), func(t *testing.T) {
						t.Parallel()
						chance := rand.New(rand.NewPCG(uint64(i), 0))
						for range kills / 2 / folders {
							all[i].once(t, time.Duration(chance.Int64N(int64(12*time.Millisecond))))
						}
					})
				}
			})
			var kept, cut, lost int
			for _, k := range all {
				kept, cut, lost = kept+k.kept, cut+k.cut, lost+k.lost
			}
			t.Logf("%d kills: %d left the newest grant, %d cut off the answer with it; %d grants ended for that", kept+cut, kept, cut, lost)
			if kept+cut != kills/2 || kept == 0 || cut == 0 {
				t.Errorf("%d kills, of which %d cut off an answer: the moments are not those that matter", kept+cut, cut)
			}
			if forgiving && lost > 0 || !forgiving && lost != cut {
				t.Errorf("%d grants were lost, and %d answers cut off", lost, cut)
			}
		})
	}
}

// once kills a daemon, looks at what it left, and goes on from there.
func (k *killing) once(t *testing.T, later time.Duration) {
	used := k.refreshAndDie(t, later)
	s, err := store.Open(k.dir, store.Encryption{}) // which it could not if the lock outlived the process
	if err != nil {
		t.Fatal(err)
	}
	defer closeAlone(s)
	g, err := s.Load("joe")
	if err != nil {
		t.Fatal(err)
	}
	saved, issued := number(t, g.RefreshToken, "refresh"), k.provider.current
	switch {
	case g.AccessToken != fmt.Sprintf("token%d", saved) || g.Withdrawn != "":
		t.Fatalf("neither an old nor a new state: %+v", g)
	case saved < used:
		t.Fatalf("%d is on disk, but %d was in use", saved, used)
	case saved == issued:
		k.kept++
	case saved == issued-1:
		k.cut++
	default:
		t.Fatalf("%d is on disk, but %d was issued last", saved, issued)
	}
	k.others(t, s)
	k.goOn(t, s, g, saved == issued)
}

// closeAlone closes the store while no process is being started for another
// folder: between fork and exec that would have the lock of this one, too.
func closeAlone(s *store.Store) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	s.Close()
}

// others fails if anything but joe's file is not as it was.
func (k *killing) others(t *testing.T, s *store.Store) {
	t.Helper()
	if g, err := s.Load("ann"); err != nil || g.RefreshToken != "refresh0" {
		t.Fatalf("the other account: %+v, %v", g, err)
	}
	names, err := s.Files.List()
	names = slices.DeleteFunc(names, func(name string) bool { return name == "joe.status" })
	if err != nil || len(names) != 5 { // two accounts, the key, the lock, the reserve
		t.Fatalf("left in the folder: %v, %v", names, err)
	}
}

// goOn refreshes as the next daemon does, and authorizes anew where that is the
// only way.
func (k *killing) goOn(t *testing.T, s *store.Store, g oauth.Grant, newest bool) {
	t.Helper()
	p := newProvider(&tokenserver.Server{Answer: k.answer})
	p.OAuth.Endpoint.TokenURL = "http://127.0.0.1/token" // as in the killed process
	a := NewAccount("joe", p, oauth.Consent{}, s, nil)
	_, err := a.Token(t.Context(), g.AccessToken)
	if err == nil {
		return
	}
	status := a.Status()
	if newest || k.provider.forgiving || !errors.Is(err, oauth.ErrNeedsAuthorization) || status.State != NeedsAuthorization ||
		!strings.Contains(status.Why, "invalid_grant") || !strings.Contains(status.Hint, "was lost: xoauthd was killed") {
		t.Fatalf("the next daemon: %v; status = %+v", err, status)
	}
	if kept := onDisk(t, a); kept.RefreshToken != g.RefreshToken || kept.Withdrawn == "" {
		t.Fatalf("the next daemon keeps %+v", kept)
	}
	k.lost++
	k.provider.revoked = false
	k.provider.current++
	g.AccessToken = fmt.Sprintf("token%d", k.provider.current)
	g.RefreshToken = fmt.Sprintf("refresh%d", k.provider.current)
	if err := a.Keep(g); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, token, kind string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(token, kind))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refreshAndDie starts the child and kills it some time after it has its first
// token. It returns the number of the last that it had. The provider has then
// answered all that it was asked.
func (k *killing) refreshAndDie(t *testing.T, later time.Duration) (last int) {
	t.Helper()
	provider := httptest.NewServer(k)
	defer provider.Close()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+k.dir, childProvider+"="+provider.URL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last = -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		token, found := strings.CutPrefix(lines.Text(), "has ")
		if !found {
			t.Fatalf("the child says %q", lines.Text())
		}
		if last < 0 {
			time.AfterFunc(later, kill)
		}
		last = number(t, token, "token")
	}
	cmd.Wait() // of course it was killed
	if last < 0 {
		t.Fatal("the child says nothing")
	}
	return last
}
