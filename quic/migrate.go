package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// Why Migrate does not move a connection. Errors of Migrate wrap one of these,
// or say why there is no socket.
var (
	// ErrMigrationDisabled: the peer asked for it (RFC 9000 §18.2,
	// disable_active_migration).
	ErrMigrationDisabled = core.ErrMoveDisabled
	// ErrNoConnectionID: the peer offers no further connection ID, and one must not
	// serve on two paths (RFC 9000 §9.5).
	ErrNoConnectionID = core.ErrNoSpareID
	// ErrPathNotValidated: the peer did not answer on the new path (RFC 9000 §8.2).
	ErrPathNotValidated = core.ErrNoAnswer
	// ErrMigrating: another migration is under way.
	ErrMigrating = core.ErrMoving
	// ErrServerMigrates: only a client may (RFC 9000 §9).
	ErrServerMigrates = core.ErrServerMoves
)

// place is the path in use, for those who ask without the connection's lock.
type place struct {
	socket int
	remote netip.AddrPort
}

// move is a migration under way.
type move struct {
	socket int
	done   chan error // has room for the one result; bounded by that
}

// Migrate moves a client's connection to another address of this host: to a new
// socket that is bound to local, a *net.UDPAddr. A nil address, or one without
// IP, leaves the choice to the system; port 0 is any. It returns when the peer
// has answered on the new path and the connection uses it (RFC 9000 §9.2); the
// old socket closes some round trips later if nobody else uses it. It waits for
// the handshake to be confirmed.
//
// On an error, and when ctx ends first, the connection stays where it is. Streams
// never notice.
func (c *Conn) Migrate(ctx context.Context, local net.Addr) error {
	sock, err := listenNear(c.place.Load().remote.Addr(), local)
	if err != nil {
		return fmt.Errorf("quic: migrate: %w", err)
	}
	return c.MigrateTo(ctx, sock)
}

// MigrateTo is Migrate to a socket of the caller's making, which the connection
// owns from then on, also if there is an error.
func (c *Conn) MigrateTo(ctx context.Context, sock net.PacketConn) error {
	if err := c.migrate(ctx, sock, c.place.Load().remote); err != nil {
		return fmt.Errorf("quic: migrate to %v: %w", sock.LocalAddr(), err)
	}
	return nil
}

// listenNear opens a socket that reaches an address.
func listenNear(remote netip.Addr, local net.Addr) (net.PacketConn, error) {
	network := "udp4"
	if remote.Is6() {
		network = "udp6"
	}
	if local == nil {
		return net.ListenUDP(network, nil)
	}
	addr, ok := local.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("local address: got %T, want *net.UDPAddr", local)
	}
	return net.ListenUDP(network, addr)
}

// migrate moves the connection to remote by way of a socket that it takes over.
func (c *Conn) migrate(ctx context.Context, sock net.PacketConn, remote netip.AddrPort) error {
	s, err := c.t.listen(sock, c)
	if err != nil {
		return err
	}
	if err = c.awaitConfirmed(ctx); err == nil {
		c.mu.Lock()
		err = c.moveLocked(ctx, s, remote)
	}
	if err != nil {
		c.t.closeSocket(s)
	}
	return err
}

// awaitConfirmed returns when the handshake is confirmed (RFC 9000 §9: no
// migration before), or cannot be any more.
func (c *Conn) awaitConfirmed(ctx context.Context) error {
	c.mu.Lock()
	if c.core.Confirmed() || c.closeErr != nil {
		c.mu.Unlock()
		return nil
	}
	if c.confirmed == nil {
		c.confirmed = make(chan struct{})
	}
	confirmed, ended := c.confirmed, c.contextLocked().Done()
	c.mu.Unlock()
	select {
	case <-confirmed:
	case <-ended:
	case <-ctx.Done():
		return ctxErr(ctx)
	}
	return nil
}

// handleConfirmed lets those migrate who wait for it. The caller holds c.mu.
func (c *Conn) handleConfirmed() {
	if c.confirmed != nil {
		close(c.confirmed)
		c.confirmed = nil
	}
	if c.listener == nil && !c.ignorePreferred {
		c.preferAddress()
	}
}

// moveLocked validates a path from s to remote and moves there. It releases
// c.mu, which the caller holds.
func (c *Conn) moveLocked(ctx context.Context, s *socket, remote netip.AddrPort) error {
	now := time.Now()
	if err := c.core.Move(now, s.index, s.local(), remote); err != nil {
		c.mu.Unlock()
		return publicError(err)
	}
	m := &move{socket: s.index, done: make(chan error, 1)}
	c.moving = m
	c.flush(now)
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.unlock()
	select {
	case err := <-m.done: // both at once: what happened counts
		return err
	default:
	}
	c.moving = nil
	c.core.CancelMove(time.Now())
	c.drainEvents()
	return ctxErr(ctx)
}

// moved ends a migration. The caller holds c.mu.
func (c *Conn) moved(err error) {
	if c.moving != nil {
		c.moving.done <- err
		c.moving = nil
	}
}

// handlePath takes the core's news of paths. The caller holds c.mu.
func (c *Conn) handlePath(e *core.Event) {
	switch e.Kind {
	case core.EventMoved:
		socket, _, remote := c.core.Path()
		c.place.Store(&place{socket, remote})
		if c.notes != nil {
			c.note("connection moved")
		}
		c.moved(nil)
	case core.EventMoveFailed:
		c.moved(e.Err)
	case core.EventSocketIdle:
		c.t.release(c, e.Socket)
	}
}

// preferAddress moves a client to where its server would rather be reached
// (RFC 9000 §9.6): by the socket in use if it sends there, or else by another.
func (c *Conn) preferAddress() {
	v4, v6 := c.core.PreferredAddress()
	socket, _, remote := c.core.Path()
	list := []netip.AddrPort{v4, v6}
	if remote.Addr().Is6() {
		list = []netip.AddrPort{v6, v4}
	}
	for _, to := range list {
		if to.IsValid() && to != remote {
			go c.preferAddressesFrom(socket, remote, list)
			return
		}
	}
}

// preferAddressesFrom tries one address after the other. One that does not
// answer costs nothing: the connection stays where it is (RFC 9000 §9.6.1).
func (c *Conn) preferAddressesFrom(socket int, remote netip.AddrPort, list []netip.AddrPort) {
	ctx := c.Context()
	for _, to := range list {
		if !to.IsValid() || to == remote {
			continue
		}
		var err error
		if to.Addr().Is4() == remote.Addr().Is4() {
			c.mu.Lock()
			if s := c.t.socket(socket); s != nil {
				err = c.moveLocked(ctx, s, to)
			} else {
				c.mu.Unlock()
				err = errors.New("socket is closed")
			}
		} else if sock, lerr := listenNear(to.Addr(), nil); lerr == nil {
			err = c.migrate(ctx, sock, to)
		} else {
			err = lerr
		}
		if err == nil {
			return
		}
	}
}

// RotateConnectionIDs gives the peer other connection IDs to send to, and has
// it retire those in use (RFC 9000 §5.1.2), so that observers cannot tell by
// them for how long a connection lasts. It reports false before the handshake is
// confirmed, and until the peer has obeyed the last time.
func (c *Conn) RotateConnectionIDs() bool {
	c.mu.Lock()
	now := time.Now()
	ok := c.core.RotateIDs(now)
	c.flush(now)
	return ok
}
