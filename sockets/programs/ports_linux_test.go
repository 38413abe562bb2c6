package programs

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports from 32768 on are those that the kernel gives to clients: one of them could be taken at any time.
const firstPort, lastPort = 10000, 32000

var givenPorts = struct {
	sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

// freePort returns a port that is free for TCP and UDP in both families, and that no other test of this process was given.
func freePort(t testing.TB) int {
	t.Helper()
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !givenPorts.taken[port] && isFree(port) {
			givenPorts.taken[port] = true
			return port
		}
	}
	t.Fatal("no free port found in 1000 attempts")
	return 0
}

func isFree(port int) bool {
	at := ":" + strconv.Itoa(port)
	ln, tcp := net.Listen("tcp", at)
	if tcp == nil {
		ln.Close()
	}
	conn, udp := net.ListenPacket("udp", at)
	if udp == nil {
		conn.Close()
	}
	return errors.Join(tcp, udp) == nil
}
