package sockets

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// inModes runs f for programs on both sides of the fabric.
func inModes(t *testing.T, f func(w *world, mode string)) {
	for _, mode := range []string{"inside", "outside"} {
		t.Run(mode, func(t *testing.T) {
			inNamespaces(t, func(w *world) { f(w, mode) })
		})
	}
}

func TestAProgramTalksToAnotherOverQUIC(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		client := w.start(mode+" to=127.0.0.1:7000", "ask", "127.0.0.1:7000", "hello")
		client.says(`answer "hello" <nil>`)
		client.wantExit(0)
		// Both ends see each other's real addresses.
		server.says("from " + client.local() + "\n")
	})
}

// local returns the address that the program ask said that it has.
func (r *running) local() string {
	for line := range strings.Lines(r.out.String()) {
		if rest, ok := strings.CutPrefix(line, "connected "); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}

func TestWhatAGatewayIsAskedForNeedsNoRoute(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		file := w.dir + "/policy"
		if err := os.WriteFile(file, []byte("connect 203.0.113.0/24 quic via=127.0.0.1:8277\nconnect default tcp\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		client := w.start(mode+" policy="+file, "ask", "203.0.113.5:7000", "hello")
		client.says(`answer "hello" <nil>`) // the other run takes an address that is not its host's for that of a translator
		client.wantExit(0)
		nowhere := w.start(mode+" policy="+file, "ask", "192.0.2.1:80", "x")
		nowhere.says("dial: network is unreachable")
		nowhere.wantExit(1)
	})
}

func TestAProgramHearsWhyItIsNotConnected(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		refused := w.start(mode, "ask", "127.0.0.1:7001", "x")
		refused.says("dial: connection refused")
		refused.wantExit(1)
		nowhere := w.start(mode, "ask", "192.0.2.1:80", "x")
		nowhere.says("dial: network is unreachable")
		nowhere.wantExit(1)
	})
}

func TestRunsThatServeDifferentPortsShareAHost(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		first := w.start(mode+" listen=7000", "echo", "127.0.0.1:7000")
		first.says("listening at")
		second := w.start(mode+" listen=7001", "echo", "127.0.0.1:7001")
		second.says("listening at")
		for _, at := range []string{"127.0.0.1:7000", "127.0.0.1:7001"} {
			client := w.start(mode+" to="+at, "ask", at, "hello")
			client.says(`answer "hello" <nil>`)
			client.wantExit(0)
		}
		nobody := w.start(mode+" to=127.0.0.1:7002", "ask", "127.0.0.1:7002", "x")
		nobody.says("dial: connection refused")
	})
}

func TestARunWhoseListenerPeersDoNotReachSaysSo(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		first := w.start(mode, "echo", "127.0.0.1:7000")
		first.says("listening at")
		second := w.start(mode, "echo", "127.0.0.1:7000")
		second.says("TCP port 7000 is served by another run as well")
		second.says("listening at")
	})
}

func TestARunGetsThePortOfOneThatEnds(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		first := w.start(mode, "echo", "127.0.0.1:7000")
		first.says("listening at")
		second := w.start(mode+" listen=7001", "echo", "127.0.0.1:7001")
		second.says("listening at")
		syscall.Kill(first.program(), syscall.SIGKILL)
		first.wantExit(128 + 9)
		for deadline := time.Now().Add(testLimit); ; {
			client := w.start(mode+" to=127.0.0.1:7001", "ask", "127.0.0.1:7001", "hello")
			client.wait()
			if strings.Contains(client.out.String(), `answer "hello" <nil>`) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the second run is not reached after the end of the first: %s", client.out.String())
			}
		}
	})
}

func TestAProgramReachesItsOwnListenersWithoutQUIC(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "both", "127.0.0.1:7000")
		r.says(`answer "hello" <nil>`)
		r.wantExit(0)
		r = w.start(mode+" to=127.0.0.1:1", "both", "[::1]:7000")
		r.says(`answer "hello" <nil>`)
		r.wantExit(0)
	})
}

func TestOddDestinationsAreAsTheKernelHasThem(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode+" to=127.0.0.2:1", "odd")
		r.says("port 0: connection refused")
		r.says("self: <nil>")
		r.says(`from itself "hello" <nil>`)
		r.says("MPTCP to nobody: connection refused")
		r.says("broadcast: <nil>")
		r.wantExit(0)
	})
}

func TestTwoRunsOfAHostAreBothReached(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		for _, at := range []string{"127.0.0.1:7000", "127.0.0.1:7001"} {
			w.start(mode, "echo", at).says("listening at")
		}
		for _, at := range []string{"127.0.0.1:7000", "127.0.0.1:7001"} {
			client := w.start(mode, "ask", at, "hello")
			client.says(`answer "hello" <nil>`)
			client.wantExit(0)
		}
	})
}

func TestTheExitStatusIsTheProgramsOwn(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.start(mode, "exit", "7").wantExit(7)
		w.start(mode, "die").wantExit(128 + int(syscall.SIGKILL))
	})
}

func TestSignalsReachTheProgram(t *testing.T) {
	inNamespaces(t, func(w *world) {
		r := w.start("inside", "obey")
		r.says("ready")
		for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGINT} {
			r.cmd.Process.Signal(s)
			r.says("got " + s.String())
		}
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.wantExit(5)
	})
}

func TestWhatAProgramLeavesBehindIsServed(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "orphan", "127.0.0.1:7000")
		server.says("listening at")
		client := w.start(mode, "ask", "127.0.0.1:7000", "hello")
		client.says(`answer "hello" <nil>`)
		server.cmd.Process.Signal(syscall.SIGTERM) // to all that it left
		server.wantExit(3)
	})
}

func TestNothingIsLeftWhenTheSupervisorIsKilled(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "echo", "127.0.0.1:7000")
		r.says("listening at")
		pid := r.supervisor()
		below := descendants(pid)
		syscall.Kill(pid, syscall.SIGKILL)
		r.wantExit(1)
		r.says("the supervisor was ended by killed")
		wantGone(t, below)
	})
}

func TestNothingIsLeftWhenTheRunIsKilled(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "echo", "127.0.0.1:7000")
		r.says("listening at")
		below := descendants(r.cmd.Process.Pid)
		r.cmd.Process.Kill()
		r.wait()
		wantGone(t, below)
	})
}

// wantGone expects that processes end soon.
func wantGone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatal("there were no processes")
	}
	for _, pid := range pids {
		for deadline := time.Now().Add(testLimit); ; time.Sleep(10 * time.Millisecond) {
			p, there := readProcess(pid)
			if !there || p.state == 'Z' {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d lives: %+v", pid, p)
			}
		}
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		client := w.start(mode, "burst", "127.0.0.1:7000", "500")
		client.says("echoed 500\n")
	})
}

func TestOnlySocketsThatAskGoOverQUIC(t *testing.T) {
	inNamespaces(t, func(w *world) {
		w.start("outside", "echo", "127.0.0.1:7000").says("listening at")
		asked := w.start("auto proto=300=quic", "asking", "127.0.0.1:7000", "300")
		asked.says(`answer "hi" <nil>`)
		plain := w.start("auto proto=300=quic", "asking", "127.0.0.1:7000", "0")
		plain.says("connect: connection refused")
	})
}

func TestSocketsOfOtherKindsAreThoseOfTheHost(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "sockets")
		r.wantExit(0)
		for _, want := range []string{"udp <nil>", "abstract <nil>", "interfaces 1 <nil>", "nonsense invalid argument"} {
			r.says(want)
		}
	})
}

func TestNamesOfThePolicyAreLookedUp(t *testing.T) {
	inNamespaces(t, func(w *world) {
		server := w.start("inside", "echo", "127.0.0.1:7000") // not to be had over plain TCP
		server.says("listening at")
		client := w.start("inside to=localhost:7000", "ask", "127.0.0.1:7000", "hello")
		client.says(`answer "hello" <nil>`)
		client.wantExit(0)
		lost := w.start("inside to=nowhere.invalid:7000", "ask", "127.0.0.1:7001", "hello")
		lost.says("policy: host name nowhere.invalid: ")
		lost.says("dial: no route to host")
		lost.wantExit(1)
	})
}

func TestFallbackIsPlainTCP(t *testing.T) {
	inNamespaces(t, func(w *world) {
		server := w.start("inside fallback=tcp", "echo", "127.0.0.1:7000")
		server.says("listening at")
		for _, flags := range []string{"inside fallback=tcp", "outside to=192.0.2.9", "inside"} { // raced, by TCP, by QUIC
			client := w.start(flags, "ask", "127.0.0.1:7000", "hello")
			client.says(`answer "hello" <nil>`)
			client.wantExit(0)
			server.says("from " + client.local() + "\n")
		}
	})
}

func TestAProgramThatIsNotThereIsSaidSo(t *testing.T) {
	err := &StartError{Program: "nosuch", Err: os.ErrNotExist}
	if got := err.ExitStatus(); got != 127 {
		t.Errorf("exit status %d, want 127", got)
	}
	if got := (&StartError{Program: "x", Err: os.ErrPermission}).ExitStatus(); got != 126 {
		t.Errorf("exit status %d, want 126", got)
	}
}

func TestAProgramThatMakesANetworkOfItsOwnIsAloneInIt(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "leave")
		r.wantExit(0)
		r.says("lo is down false")
	})
}

func TestARunDoesNotWaitForPeersThatKeepTheirEnd(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		for _, flags := range []string{"", " fallback=tcp"} {
			server := w.start(mode+" fallback=tcp", "keep", "127.0.0.1:7000")
			server.says("listening at")
			client := w.start(mode+flags, "tell", "127.0.0.1:7000", "3000000")
			if status := client.waitFor(drainLimit / 2); status != 0 {
				t.Errorf("exit status %d", status)
			}
			server.says("heard 3000000 <nil>")
			server.cmd.Process.Signal(syscall.SIGTERM)
			server.wait()
		}
	})
}
