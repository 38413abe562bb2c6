package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const tryLimit = 15 * time.Second // for the test whether namespaces can be made

// netns returns the netns backend, or in one sentence what is in its way.
func netns() (Backend, string) { return tryNamespaces() }

// tryNamespaces finds, once, how this process can make the world of a job, by making one. A user namespace is preferred even for root,
// because the programs in it have no power over the host.
var tryNamespaces = sync.OnceValues(func() (*namespaces, string) {
	if !mainCalled.Load() {
		return nil, "this program does not call backend.Main, so it cannot start itself as a sandbox"
	}
	with := &namespaces{users: true}
	err := with.try()
	if err == nil {
		return with, ""
	}
	if without := (&namespaces{}); os.Geteuid() == 0 && without.try() == nil {
		return without, ""
	}
	return nil, explain(err)
})

// try makes the world of a job and removes it.
func (n *namespaces) try() error {
	dir, err := os.MkdirTemp("", "quiver-try-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := Program{Argv: []string{self}}
	j, err := prepare(&Job{Dir: dir, Scenario: idleScenario, Client: p, Server: p, WWW: dir, Downloads: dir, Certs: dir})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryLimit)
	defer cancel()
	var said strings.Builder
	out := n.sandbox(ctx, &orders{Job: *j, Probe: true}, &said)
	if out.Err != nil && said.Len() > 0 {
		return fmt.Errorf("%w (%s)", out.Err, strings.TrimSpace(said.String()))
	}
	return out.Err
}

// explain says why err came of making namespaces, as far as the system tells.
func explain(err error) string {
	for _, s := range []struct{ path, value, meaning string }{
		{"/proc/sys/user/max_user_namespaces", "0", "user namespaces are switched off (sysctl user.max_user_namespaces is 0)"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0",
			"user namespaces are switched off for everyone but root (sysctl kernel.unprivileged_userns_clone is 0)"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"AppArmor forbids user namespaces to programs without a profile (sysctl kernel.apparmor_restrict_unprivileged_userns is 1)"},
	} {
		if value, _ := os.ReadFile(s.path); strings.TrimSpace(string(value)) == s.value {
			return s.meaning
		}
	}
	is := func(number syscall.Errno) bool { // errors of the sandbox come as text
		return errors.Is(err, number) || strings.HasSuffix(err.Error(), number.Error())
	}
	switch {
	case is(syscall.ENOSPC):
		return "the limit of namespaces is reached (sysctls user.max_*_namespaces)"
	case is(syscall.EOPNOTSUPP):
		return "this kernel lacks a kind of link or namespace, perhaps the module veth: " + err.Error()
	case is(syscall.EINVAL), is(syscall.ENOSYS):
		return "this kernel is built without the namespaces needed: " + err.Error()
	case (is(syscall.EPERM) || is(syscall.EACCES)) && seccompFilters():
		return "the system call filter of the container around us forbids new namespaces"
	}
	if _, missing := os.Stat("/proc/self/exe"); missing != nil {
		return "/proc is not mounted"
	}
	return "namespaces cannot be made: " + err.Error()
}

// seccompFilters tells whether system calls of this process are filtered, as container engines do.
func seccompFilters() bool {
	status, _ := os.ReadFile("/proc/self/status")
	return strings.Contains(string(status), "\nSeccomp:\t2")
}
