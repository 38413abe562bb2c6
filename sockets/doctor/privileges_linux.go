package doctor

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// privileges are the facts about what this user may do. With all, that of user
// namespaces is tried also where root's privileges suffice.
func privileges(all bool) []Fact {
	caps := Fact{Name: "privileges", What: "a network and a packet filter for the program, as root", Need: ByRoot}
	own := Fact{Name: "network-namespace", What: "the network for it", Need: ByRoot}
	user := Fact{Name: "user-namespace", What: "the same for everybody, without root", Need: ByUser}
	own.Found = "not tried: it takes the privileges"
	gain := "run quiver as root"
	if os.Geteuid() == 0 {
		gain = "something took them from root: a container would have to be started with --cap-add"
	}
	lacks, err := lacksCapabilities(statusField(readFile("/proc/thread-self/status"), "CapEff"))
	switch {
	case err != nil:
		caps = caps.missing("capabilities cannot be read: "+err.Error(), "mount /proc")
	case len(lacks) == len(capabilities):
		caps = caps.missing("this user has no privileges", gain)
	case len(lacks) > 0:
		caps = caps.missing("this user lacks "+strings.Join(lacks, ", "), gain)
	default:
		caps = caps.there("")
		own = own.namespaces(tryNamespaces(false))
	}
	if all || caps.State == Missing || own.State == Missing {
		user = user.namespaces(tryNamespaces(true))
	}
	return []Fact{caps, own, user}
}

// namespaces completes a fact by the error of making namespaces.
func (f Fact) namespaces(err error) Fact {
	if err == nil {
		return f.there("")
	}
	return f.missing(explain(err, os.Geteuid() == 0, theseSurroundings()))
}

func theseSurroundings() surroundings {
	return surroundings{
		read:     readFile,
		filtered: filtered(),
		container: containerName(os.Getenv, func(path string) bool {
			_, err := os.Lstat(path)
			return err == nil
		}),
	}
}

// filtered reports whether a filter stands between this process and its system calls.
func filtered() bool { return statusField(readFile("/proc/thread-self/status"), "Seccomp") == "2" }

// tooLong is a path that no program has: to start it takes all steps but the last.
var tooLong = strings.Repeat("x", 2*unix.PathMax)

// tryNamespaces makes a network namespace in a process of its own and ends it.
// With users that process first gets a user namespace in which everybody has his
// own number, as a run does; a kernel may allow that and then deny the process
// all privileges in it, so it makes the network namespace itself.
func tryNamespaces(users bool) error {
	attr := &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET}
	if users {
		identity(attr)
	}
	pid, err := syscall.ForkExec(tooLong, []string{"quiver-doctor"}, &syscall.ProcAttr{Sys: attr})
	switch {
	case err == syscall.ENAMETOOLONG:
		return nil
	case err == nil: // it cannot be
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
		return fmt.Errorf("a program with a name of %d bytes was started", len(tooLong))
	}
	return err
}

// identity adds a user namespace to attr in which this user has his own number
// and, in that namespace, the privileges of root.
func identity(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= unix.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	for _, c := range capabilities {
		attr.AmbientCaps = append(attr.AmbientCaps, uintptr(c.number))
	}
}

// readFile returns what a small file holds, without the newline at its end; "" if
// it cannot be read.
func readFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(text), "\n\x00")
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func userNumber() int { return os.Geteuid() }

// around tells of the container and the filter that this process is in, as far as they show.
func around() string {
	var marks []string
	s := theseSurroundings()
	if s.container != "" {
		marks = append(marks, "looks like a "+s.container)
	}
	if s.filtered {
		marks = append(marks, "system calls are filtered")
	}
	return strings.Join(marks, ", ")
}
