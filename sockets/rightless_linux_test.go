package sockets

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	for name, f := range map[string]func(args []string) int{
		"self": self, "rights": rights, "below": below, "strange": strange, "storm": storm, "idle": idle, "short": short,
	} {
		programs[name] = f
	}
}

// self says what a program can see of how it was started.
func self([]string) int {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		for _, prefix := range []string{"Cap", "NoNewPrivs", "Uid", "Gid", "Groups", "SigIgn", "SigBlk", "Umask"} {
			if strings.HasPrefix(line, prefix) {
				fmt.Print(line)
			}
		}
	}
	fmt.Println("policy", scheduling(0))
	env := os.Environ()
	slices.Sort(env)
	for _, v := range env {
		fmt.Println("env", v)
	}
	for fd := 3; fd < 256; fd++ {
		to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup") { // of this program's runtime
			fmt.Println("descriptor", to)
		}
	}
	return 0
}

// scheduling returns by which policy a thread gets the processor; 0 is this one.
func scheduling(tid int) uint32 {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		fmt.Println("scheduling:", err)
		return ^uint32(0)
	}
	return attr.Policy
}

// raws tries sockets that need rights.
func raws(where string) {
	for _, k := range []struct {
		name                string
		domain, typ, number int
	}{{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0}, {"raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, {"xdp", unix.AF_XDP, unix.SOCK_RAW, 0},
		{"raw of no protocol", unix.AF_INET, unix.SOCK_RAW, 0}, {"raw with flags of nobody", unix.AF_INET, 0x60 | unix.SOCK_RAW, unix.IPPROTO_ICMP}, {"stream", unix.AF_INET, unix.SOCK_STREAM, 0}} {
		fd, err := unix.Socket(k.domain, k.typ, k.number)
		if err == nil {
			unix.Close(fd)
		}
		fmt.Printf("%s%s: %v\n", k.name, where, err)
	}
}

// rights tries them with all rights, without any, and with all rights in a user namespace of its own.
func rights([]string) int {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	fmt.Println("with:", err)
	unix.Close(fd)
	cmd := exec.Command(os.Args[0], "program")
	cmd.Env = append(os.Environ(), asProgram+"=below")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	var none [2]unix.CapUserData
	runtime.LockOSThread() // rights are those of a thread
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		fmt.Println("capset:", err)
		return 1
	}
	raws("")
	return 0
}

func below([]string) int {
	raws(" in a user namespace of its own")
	return 0
}

// strange does what programs do that daemonise, confine themselves or are strange, and then asks.
func strange(args []string) int {
	switch args[1] {
	case "chroot":
		dir, _ := os.MkdirTemp("", "")
		defer os.Remove(dir)
		if err := unix.Chroot(dir); err != nil {
			fmt.Println(err)
		}
	case "close":
		for fd := 3; fd < 1024; fd++ {
			unix.CloseOnExec(fd) // the runtime of this program needs its own until exec
		}
		return execAsk(args)
	case "exec":
		return execAsk(args)
	case "filter":
		allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}}
		prog := unix.SockFprog{Len: 1, Filter: &allow[0]}
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); errno != 0 {
			fmt.Println("filter:", errno)
		}
	case "daemon":
		if len(args) == 4 { // twice
			cmd := exec.Command(os.Args[0], append(slices.Clone(args), "again")...)
			cmd.Env = os.Environ()
			cmd.Stdout = os.Stdout
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			cmd.Start()
			return 0
		}
	}
	return ask([]string{"", args[2], args[3]})
}

func execAsk(args []string) int {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, asProgram+"=") })
	fmt.Println(unix.Exec(os.Args[0], []string{os.Args[0], "program", args[2], args[3]}, append(env, asProgram+"=ask")))
	return 1
}

// storm opens sockets and connects under 2000 signals a second, and says what went wrong.
func storm(args []string) int {
	n, _ := strconv.Atoi(args[2])
	heard := make(chan os.Signal, 64)
	signal.Notify(heard, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		for tick := time.NewTicker(500 * time.Microsecond); ; {
			select {
			case <-done:
				return
			case <-tick.C:
				syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			case <-heard:
			}
		}
	}()
	var interrupted, zero, wrong int
	for range n {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, 0)
			switch {
			case err == unix.EINTR:
				interrupted++
			case err != nil:
				wrong++
				fmt.Println("socket:", err)
			case fd == 0:
				zero++
			default:
				if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || got != typ {
					wrong++
				}
				unix.Close(fd)
			}
		}
		c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
		if err != nil {
			fmt.Println("dial:", plain(err))
			wrong++
			continue
		}
		c.Close()
	}
	close(done)
	fmt.Printf("zero %d wrong %d interrupted %d\n", zero, wrong, interrupted)
	return 0
}

// idle holds many connections until its input ends.
func idle(args []string) int {
	n, _ := strconv.Atoi(args[2])
	var ok atomic.Int64
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if c, err := net.DialTimeout("tcp", args[1], 30*time.Second); err == nil {
				held.Store(c, true)
				ok.Add(1)
			} else {
				fmt.Println("dial:", plain(err))
			}
		})
	}
	all.Wait()
	fmt.Println("holds", ok.Load())
	os.Stdin.Read(make([]byte, 1))
	return 0
}

var held sync.Map // keeps connections from the collector of garbage; bounded by the test

// short makes many connections one after the other, on several threads, echoes a byte on each, and waits for the end of its input.
func short(args []string) int {
	n, _ := strconv.Atoi(args[2])
	var ok, failed atomic.Int64
	var all sync.WaitGroup
	const threads = 20
	for range threads {
		all.Go(func() {
			for range n / threads {
				c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
				if err == nil {
					c.Write([]byte("x"))
					_, err = c.Read(make([]byte, 1))
					c.(*net.TCPConn).SetLinger(0) // leave no TIME-WAIT
					c.Close()
				}
				if err != nil {
					if failed.Add(1) < 10 {
						fmt.Println("failed:", err)
					}
					continue
				}
				ok.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Printf("echoed %d\nwaits\n", ok.Load())
	os.Stdin.Read(make([]byte, 1))
	return 0
}
