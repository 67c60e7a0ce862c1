package proxy

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Probe runs a session over a pipe, as far as its greeting. It needs no descriptor
// and evicts no other session. An error means that sessions of the protocol hang
// or fail as they begin, or that ctx was done before the greeting came.
func (s *Server) Probe(ctx context.Context, protocol string) error {
	if protocols[protocol] == nil {
		return fmt.Errorf("there is no protocol %q", protocol)
	}
	client, server := net.Pipe()
	defer client.Close()
	go func() { s.accept(ctx, ctx, server, &Listener{Protocol: protocol}, noLimit)() }()
	defer context.AfterFunc(ctx, func() { client.SetDeadline(time.Unix(1, 0)) })()
	if _, err := client.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("no greeting from %s: %w", protocol, err)
	}
	return nil
}
