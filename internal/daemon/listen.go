package daemon

import (
	"errors"
	"fmt"
	"net"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/systemd"
)

// A listener accepts connections of mail programs.
type listener struct {
	net.Listener
	to      *proxy.Listener
	tls     config.TLSMode
	systemd string // name of a socket of systemd; may be empty
}

// listen opens all listeners. It returns all errors.
func (d *Daemon) listen(handed []systemd.Socket) error {
	o := &opener{handed, d.log}
	var faults []error
	var err error
	if d.certificates, err = readCertificates(d.config, d.log); err != nil {
		faults = append(faults, err)
	}
	for i, l := range d.config.Listeners {
		if err := d.openListener(o, l); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: listener %d: %w", d.config.File, l.Line, i+1, err))
		}
	}
	if d.config.Metrics != nil {
		if d.metrics, err = d.openMetrics(o); err != nil {
			faults = append(faults, fmt.Errorf("[metrics]: %w", err))
		}
	}
	if d.config.Web != nil {
		if d.web, err = d.openWeb(o); err != nil {
			faults = append(faults, fmt.Errorf("[web]: %w", err))
		}
	}
	faults = append(faults, o.unclaimed()...)
	if d.api, err = d.openAPI(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		faults = append(faults, d.wrapListeners())
	}
	return errors.Join(faults...)
}

// openListener opens a listener at all its addresses.
func (d *Daemon) openListener(o *opener, l config.Listener) error {
	all, err := o.open(l.Endpoint)
	to := d.proxyListener(l)
	for _, ln := range all {
		d.listeners = append(d.listeners, listener{ln, to, l.TLS, l.Systemd})
	}
	return err
}

// proxyListener returns the settings of a listener for sessions.
func (d *Daemon) proxyListener(l config.Listener) *proxy.Listener {
	to := &proxy.Listener{
		Protocol:   l.Protocol,
		Provider:   l.Provider,
		Upstreams:  d.accounts.upstreams(l.Protocol, l.Provider),
		TLSMode:    map[config.TLSMode]proxy.TLSMode{config.TLSImplicit: proxy.ImplicitTLS, config.TLSAuto: proxy.AnyTLS}[l.TLS],
		RequireTLS: l.RequireTLS,
		Proxies:    l.Proxies,
		LocalUsers: l.LocalUsers,
		OwnTokens:  l.ClientTokens,
	}
	if l.Devices != nil {
		to.Devices = l.Devices.Networks
		to.Upstreams = []*proxy.Upstream{d.accounts.gateways.forDevices(l.Devices)}
	}
	if l.OffersTLS() {
		to.TLS = d.certificates.serverConfig(l)
	}
	return to
}
