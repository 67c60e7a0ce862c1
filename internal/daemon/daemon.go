// Package daemon is the wiring: it creates listeners, accounts, pages and metrics from the
// configuration, and runs them. The program and the demo use it.
package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/systemd"
)

// lastRefresh is how long the daemon waits for a running refresh at its end: the answer
// may contain the only valid refresh token.
const lastRefresh = 10 * time.Second

// closeTime is an upper limit for the rest of the shutdown.
const closeTime = 10 * time.Second

// A Daemon is a running xoauthd.
type Daemon struct {
	config       *config.Config
	log          *slog.Logger
	budget       budget
	store        *store.Store
	accounts     accounts
	certificates certificates
	proxy        *proxy.Server
	registry     *prometheus.Registry
	ready        atomic.Bool
	conns        connMetrics
	acceptors    []*acceptor    // of all listeners
	discards     sync.WaitGroup // revocations of grants that are not used any more
	notifier     systemd.Notifier

	listeners []listener
	web       *endpoint // nil without [web]
	metrics   *endpoint // nil without [metrics]
	api       *endpoint // nil after Assemble
}

// New opens the store and all listeners, so that errors appear before anything is served.
// The sockets that systemd has passed must all belong to the configuration. The caller
// must call Run or Close.
func New(c *config.Config, log *slog.Logger, handed ...systemd.Socket) (*Daemon, error) {
	loadRoots(log)
	d, err := Assemble(c, log)
	if err != nil {
		return nil, err
	}
	if d.budget, err = newBudget(c, openFiles()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.proxy.Limits.Sessions = d.budget.sessions
	if err := d.listen(handed); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// loadRoots reads the system's certificates. Package crypto/x509 reads them once, and
// otherwise only when it needs them. If there were no file descriptor then, no server
// would be trusted until a restart.
func loadRoots(log *slog.Logger) {
	if _, err := x509.SystemCertPool(); err != nil {
		log.Warn("system certificates not read", "error", err.Error())
	}
}

// Assemble opens the store and creates the parts without listeners. That is all that
// ServeAPI needs. The caller must call Close.
func Assemble(c *config.Config, log *slog.Logger) (*Daemon, error) {
	if len(c.Unavailable) > 0 {
		return nil, c.Unavailable
	}
	store, err := openStore(c, log)
	if err != nil {
		return nil, err
	}
	d := &Daemon{config: c, log: log, store: store, registry: prometheus.NewRegistry()}
	if err := d.assemble(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// assemble creates the parts from the configuration.
func (d *Daemon) assemble() error {
	metrics, passwords := oauth.NewMetrics(), password.NewMetrics()
	d.conns = newConnMetrics()
	d.registry.MustRegister(
		metrics,
		passwords,
		d.conns.errors,
		d.conns.refusals,
		d.conns.evictions,
		auth.NewAccountCollector(d.accounts.watched),
		oauth.NewProviderCollector(d.accounts.registrations),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "xoauthd_state_directory_full",
			Help: "1 if the disk of the state directory is full, so that grants may be lost.",
		}, d.full),
		buildInfo(),
		newExpiryCollector(&d.certificates),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	limits := d.config.Limits
	d.proxy = &proxy.Server{
		Accounts: &d.accounts,
		Limits: proxy.Limits{
			Sessions:   limits.Sessions,
			PerAccount: limits.SessionsPerAccount,
			PerLogin:   limits.SessionsPerLogin,
			PerAddress: limits.SessionsPerAddress,
			Queue:      limits.QueueTimeout,
			LogIn:      limits.LoginTimeout,
			Step:       limits.StepTimeout,
			Idle:       limits.IdleTimeout,
			Drain:      limits.DrainTimeout,
		},
		Log:     d.log,
		Metrics: proxy.NewMetrics(d.registry),
	}
	messages := newMessages(&d.accounts, d.log)
	d.registry.MustRegister(messages)
	d.accounts.gateways.report = messages.report
	d.accounts.gateways.errorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelError)
	if err := d.accounts.fill(d.config, d.store, metrics, passwords, d.log); err != nil {
		return err
	}
	d.rekey() // after the accounts have read their grants, so that each is read once
	d.restorePasswords()
	return nil
}

// Register adds a collector to the exported metrics.
func (d *Daemon) Register(c prometheus.Collector) { d.registry.MustRegister(c) }

// full returns 1 if the disk of the state directory is full.
func (d *Daemon) full() float64 {
	if d.store.Full() {
		return 1
	}
	return 0
}

// Run serves until ctx is done. It then stops accepting, drains the sessions, and saves
// the results of running refreshes.
func (d *Daemon) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(d.listeners)+6)
	running := 0
	run := func(serve func(context.Context) error) {
		running++
		go func() {
			err := serve(serving)
			if err != nil {
				stop() // a restart is better than a daemon without one of its parts
			}
			failed <- err
		}()
	}
	for _, l := range d.listeners {
		run(func(ctx context.Context) error { return d.proxy.Serve(ctx, l.Listener, l.to) })
	}
	for _, e := range []*endpoint{d.web, d.metrics, d.api} {
		if e != nil {
			run(e.serve)
		}
	}
	run(func(ctx context.Context) error {
		auth.RefreshAll(ctx, d.accounts.list())
		return nil
	})
	run(d.maintainState)
	run(func(ctx context.Context) error {
		warnOfExpiry(ctx, d.accounts.registrations(), d.certificates, d.log)
		return nil
	})
	d.announceReady(serving)
	<-serving.Done()
	d.announceStop()

	var faults []error
	for range running {
		faults = append(faults, <-failed)
	}
	return errors.Join(append(faults, d.Close())...)
}

// announceReady logs that the daemon serves, and notifies systemd.
func (d *Daemon) announceReady(ctx context.Context) {
	d.ready.Store(true)
	for _, l := range d.listeners {
		d.log.Info("listening", "listener", l.to.Protocol, "address", l.Addr().String(), "tls", l.tls)
	}
	if d.web != nil {
		for _, ln := range d.web.listeners {
			d.log.Info("listening", "listener", "web", "address", ln.Addr().String(), "url", d.config.Web.PublicURL)
		}
	}
	if d.metrics != nil {
		for _, ln := range d.metrics.listeners {
			d.log.Info("listening", "listener", "metrics", "address", ln.Addr().String())
		}
	}
	d.warnOfOthers()
	d.warnOfFiles()
	for _, a := range d.accounts.watched() {
		if s := a.Status(); s.State == auth.NeedsAuthorization {
			log := d.log.With("account", a.Name(), "reason", s.Why)
			if s.Hint != "" {
				log = log.With("hint", s.Hint)
			}
			log.Warn("authorization required", "remedy", d.accounts.byName[a.Name()].remedy)
		}
	}
	if err := d.notifier.Ready(fmt.Sprintf("accounts: %d, listeners: %d", len(d.accounts.list()), len(d.config.Listeners))); err != nil {
		d.log.Warn("sd_notify failed", "error", err)
	}
	go func() {
		if err := d.notifier.Watchdog(ctx, d.healthy); err != nil {
			d.log.Error("watchdog notifications failed", "error", err)
		}
	}()
}

// announceStop logs that the daemon stops, and notifies systemd.
func (d *Daemon) announceStop() {
	d.ready.Store(false)
	d.log.Info("stopping", "drain", d.config.Limits.DrainTimeout.String())
	most := d.config.Limits.DrainTimeout + lastRefresh + closeTime
	if err := d.notifier.Stopping("letting sessions finish", most); err != nil {
		d.log.Warn("sd_notify failed", "error", err)
	}
}

// Close waits for running refreshes, and closes the store and the listeners.
func (d *Daemon) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastRefresh)
	defer cancel()
	var faults []error
	faults = append(faults, d.accounts.gateways.close()) // they may still ask for tokens
	for _, a := range d.accounts.list() {
		if err := a.Wait(ctx); err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", a.Name(), err))
		}
	}
	d.finishDiscards(ctx)
	for _, l := range d.listeners {
		l.Close() // has no effect after Run
	}
	for _, e := range []*endpoint{d.web, d.metrics, d.api} {
		if e != nil {
			e.close()
		}
	}
	d.savePasswords()
	return errors.Join(append(faults, d.notifier.Close(), d.store.Close())...)
}
