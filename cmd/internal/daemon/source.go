package daemon

import (
	"context"
	"net"
	"net/http"
	"strconv"
)

// connKey is the key under which the context of a request has its connection.
type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// source tells apart who sends requests: by user where the client is a program of
// this machine, and else by IP address. All that come through one reverse proxy are
// one.
func (d *Daemon) source(r *http.Request) string {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		if uid, err := d.proxy.Peers.UID(conn); err == nil {
			return "user " + strconv.FormatUint(uint64(uid), 10)
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
