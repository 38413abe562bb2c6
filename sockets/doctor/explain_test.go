package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestNamespacesThatCannotBeMadeAreExplained(t *testing.T) {
	const (
		users    = "/proc/sys/user/max_user_namespaces"
		nets     = "/proc/sys/user/max_net_namespaces"
		debian   = "/proc/sys/kernel/unprivileged_userns_clone"
		apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	)
	for _, tc := range []struct {
		name string
		err  error
		root bool
		with map[string]string
		cage surroundings
		want []string // parts of what is found, then of the hint
	}{
		{name: "no user namespaces", err: syscall.ENOSPC, with: map[string]string{users: "0"}, want: []string{"user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000"}},
		{name: "no network namespaces", err: syscall.ENOSPC, with: map[string]string{users: "100", nets: "0"}, want: []string{"user.max_net_namespaces is 0", "sysctl -w user.max_net_namespaces"}},
		{name: "Debian's switch", err: syscall.EPERM, with: map[string]string{users: "100", debian: "0"}, want: []string{"for root alone", "sysctl -w kernel.unprivileged_userns_clone=1"}},
		{name: "Debian's switch and root", err: syscall.EPERM, root: true, with: map[string]string{debian: "0"}, want: []string{"root may not", "CAP_SYS_ADMIN"}},
		{name: "Ubuntu", err: syscall.EACCES, with: map[string]string{debian: "1", apparmor: "1"}, want: []string{"AppArmor", "'userns,'"}},
		{name: "too deep", err: fmt.Errorf("wrapped: %w", syscall.EUSERS), with: map[string]string{users: "100"}, want: []string{"how deep they nest", "sysctls"}},
		{name: "old kernel", err: syscall.EINVAL, want: []string{"built without", "CONFIG_USER_NS"}},
		{name: "Docker", err: syscall.EPERM, root: true, cage: surroundings{filtered: true, container: "Docker container"}, want: []string{"this looks like a Docker container, which forbids", "--cap-add SYS_ADMIN"}},
		{name: "some filter", err: syscall.EPERM, cage: surroundings{filtered: true}, want: []string{"the system call filter around", "--cap-add"}},
		{name: "no idea", err: syscall.EPERM, want: []string{"namespaces cannot be made: operation not permitted", "as root"}},
		{name: "a foreign error", err: errors.New("moon"), want: []string{"namespaces cannot be made: moon", "as root"}},
	} {
		tc.cage.read = func(path string) string { return tc.with[path] }
		found, hint := explain(tc.err, tc.root, tc.cage)
		if !strings.Contains(found, tc.want[0]) || !strings.Contains(hint, tc.want[1]) {
			t.Errorf("%s: %q, %q, want %q", tc.name, found, hint, tc.want)
		}
	}
}

func TestContainersAreToldByTheirMarks(t *testing.T) {
	for _, tc := range []struct {
		vars map[string]string
		file string
		want string
	}{
		{nil, "", ""},
		{map[string]string{"container": "lxc"}, "", "lxc container"},
		{map[string]string{"container": "\x1b[2J"}, "", ""},
		{nil, "/.dockerenv", "Docker container"},
		{nil, "/run/.containerenv", "Podman container"},
		{map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "", "Kubernetes container"},
	} {
		got := containerName(func(name string) string { return tc.vars[name] }, func(path string) bool { return path == tc.file })
		if got != tc.want {
			t.Errorf("with %v and %q: %q, want %q", tc.vars, tc.file, got, tc.want)
		}
	}
}

func TestStatusOfAProcessIsRead(t *testing.T) {
	const status = "Name:\tquiver\nCapEff:\t000001ffffffffff\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	for name, want := range map[string]string{"Name": "quiver", "Seccomp": "2", "Seccomp_filters": "1", "Cap": ""} {
		if got := statusField(status, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for set, want := range map[string][]string{
		"000001ffffffffff": nil,
		"0000000000000000": {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_SYS_PTRACE"},
		"00000000a80425fb": {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"}, // Docker's
	} {
		if got, err := lacksCapabilities(set); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s lacks %v, %v, want %v", set, got, err, want)
		}
	}
	if _, err := lacksCapabilities(""); err == nil {
		t.Error("nothing is a set of capabilities")
	}
}
