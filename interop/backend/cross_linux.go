package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	crossPort      = 5001
	crossChunk     = 64 << 10         // bytes per write; the kernel's buffers decide what is on its way
	crossCongested = "cubic"          // congestion control of the sender
	crossDialLimit = 10 * time.Second // for the connection to come about, on the most crowded of machines
)

// crossTraffic is a TCP flow from the server's side to the client's, through the same links as the endpoints: as much as the
// network takes, until it is stopped. The sockets live in the namespaces of the endpoints, the work is done here.
type crossTraffic struct {
	listener net.Listener
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu       sync.Mutex // guards all below
	received int64      // bytes that came out
	began    time.Time
	took     time.Duration // from the first byte to the last
	err      error         // why nothing flowed
}

// startCross makes the receiver in the namespace of process client and begins to connect to it from that of process server.
func startCross(client, server int) (*crossTraffic, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crossTraffic{cancel: cancel}
	err := inNetwork(client, func() (err error) {
		at := netip.AddrPortFrom(sides[Client].peer4.Addr(), crossPort)
		c.listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cross traffic, receiver: %w", err)
	}
	c.done.Go(c.receive)
	c.done.Go(func() {
		if err := c.send(ctx, server); err != nil && ctx.Err() == nil {
			c.mu.Lock()
			c.err = fmt.Errorf("cross traffic, sender: %w", err)
			c.mu.Unlock()
		}
	})
	return c, nil
}

// send writes to the receiver until ctx ends.
func (c *crossTraffic) send(ctx context.Context, server int) error {
	dialer := net.Dialer{Timeout: crossDialLimit, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, crossCongested)
		})
		return err
	}}
	var conn net.Conn
	err := inNetwork(server, func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp4", net.JoinHostPort(sides[Client].peer4.Addr().String(), strconv.Itoa(crossPort)))
		return err
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	for chunk := make([]byte, crossChunk); ; {
		if _, err := conn.Write(chunk); err != nil {
			return err
		}
	}
}

// receive counts what arrives on the first connection.
func (c *crossTraffic) receive() {
	conn, err := c.listener.Accept()
	if err != nil {
		return // stopped before anyone connected
	}
	defer conn.Close()
	defer c.listener.Close()
	buf := make([]byte, crossChunk)
	for {
		n, err := conn.Read(buf)
		now := time.Now()
		c.mu.Lock()
		if c.began.IsZero() {
			c.began = now
		}
		c.received += int64(n)
		c.took = now.Sub(c.began)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

var errNoCrossTraffic = errors.New("cross traffic: not a byte of TCP reached the client's side")

// stop ends the flow and writes what came out of it to log. A flow that never began is an error: the measurement would lie.
func (c *crossTraffic) stop(log io.Writer) error {
	c.mu.Lock()
	received, took := c.received, c.took
	err := c.err
	c.mu.Unlock()
	c.cancel()
	c.listener.Close()
	if received > 0 && took > 0 {
		fmt.Fprintf(log, "TCP (%s) beside it: %d bytes in %v, %.0f kbps\n", crossCongested, received, took.Round(time.Millisecond),
			float64(received)*8/1000/took.Seconds())
	}
	if err == nil && received == 0 {
		err = errNoCrossTraffic
	}
	return err
}

// inNetwork calls do in a thread that is in the network namespace of process pid. Sockets that do makes belong there for ever.
func inNetwork(pid int, do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, since nobody else may have it
		result <- func() error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return fmt.Errorf("process %d: %w", pid, err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("network of process %d: %w", pid, err)
			}
			return do()
		}()
	}()
	return <-result
}
