package idp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Members of the response to a device (RFC 8628 section 3.2).
const (
	deviceCodeLife = 10 * time.Minute
	deviceInterval = 5 * time.Second
)

// devices stores the device authorizations that wait for the person or for the next poll
// of the device.
type devices struct {
	mu     sync.Mutex
	byCode map[string]*device // by the device code
}

type device struct {
	userCode string
	state    op.DeviceAuthorizationState
}

var _ op.DeviceAuthorizationStorage = (*devices)(nil)

var errNoDevice = errors.New("device code unknown, expired or used")

// StoreDeviceAuthorization implements op.DeviceAuthorizationStorage.
func (ds *devices) StoreDeviceAuthorization(_ context.Context, clientID, code, userCode string, expiry time.Time, scopes []string) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now := time.Now()
	for code, d := range ds.byCode {
		if now.After(d.state.Expires.Add(deviceCodeLife)) { // the device has heard of it
			delete(ds.byCode, code)
		}
	}
	ds.byCode[code] = &device{userCode, op.DeviceAuthorizationState{ClientID: clientID, Scopes: scopes, Expires: expiry}}
	return nil
}

// GetDeviceAuthorizatonState implements op.DeviceAuthorizationStorage. A code is valid for
// one grant.
func (ds *devices) GetDeviceAuthorizatonState(_ context.Context, clientID, code string) (*op.DeviceAuthorizationState, error) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.byCode[code]
	if d == nil || d.state.ClientID != clientID {
		return nil, errNoDevice
	}
	if d.state.Done {
		delete(ds.byCode, code)
	}
	state := d.state
	return &state, nil
}

// answer records the decision of the person for a user code.
func (ds *devices) answer(userCode string, change func(*op.DeviceAuthorizationState)) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.byCode {
		if d.userCode == userCode && time.Now().Before(d.state.Expires) {
			change(&d.state)
			return nil
		}
	}
	return errNoDevice
}

// AllowDevice acts for a person who enters a user code and chooses a mailbox.
func (s *Server) AllowDevice(userCode, mailbox string) error {
	if !slices.Contains(s.config.Users, mailbox) {
		return errors.New(mailbox + " is not a user of the provider")
	}
	return s.storage.devices.answer(userCode, func(state *op.DeviceAuthorizationState) {
		state.Subject, state.AuthTime, state.Done = mailbox, time.Now(), true
	})
}

// DenyDevice acts for a person who enters a user code and denies access.
func (s *Server) DenyDevice(userCode string) error {
	return s.storage.devices.answer(userCode, func(state *op.DeviceAuthorizationState) { state.Denied = true })
}
