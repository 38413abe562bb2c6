package doctor

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// surroundings are what explains why a namespace cannot be made.
type surroundings struct {
	read      func(path string) string // contents of a file without the newline, "" if there is none
	filtered  bool                     // system calls of this process are filtered
	container string                   // what kind of container this is, as far as known; "" = none
}

// A setting is one that forbids namespaces.
type setting struct {
	path, value string
	users       bool // only to users who are not root
	found, hint string
}

var settings = []setting{
	{"/proc/sys/user/max_user_namespaces", "0", false,
		"user namespaces are switched off (sysctl user.max_user_namespaces is 0)",
		"as root: sysctl -w user.max_user_namespaces=15000"},
	{"/proc/sys/user/max_net_namespaces", "0", false,
		"network namespaces are switched off (sysctl user.max_net_namespaces is 0)",
		"as root: sysctl -w user.max_net_namespaces=15000"},
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", true,
		"user namespaces are for root alone (sysctl kernel.unprivileged_userns_clone is 0)",
		"as root: sysctl -w kernel.unprivileged_userns_clone=1; or run quiver as root"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", true,
		"AppArmor keeps privileges in user namespaces from programs without a profile (sysctl kernel.apparmor_restrict_unprivileged_userns is 1)",
		"as root: give quiver a profile with the rule 'userns,' in /etc/apparmor.d, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; or run quiver as root"},
}

// explain says in one sentence why err came of making namespaces, and what to do.
func explain(err error, root bool, s surroundings) (found, hint string) {
	for _, set := range settings {
		if set.users && root {
			continue
		}
		if s.read(set.path) == set.value {
			return set.found, set.hint
		}
	}
	is := func(numbers ...syscall.Errno) bool {
		for _, n := range numbers {
			if errors.Is(err, n) {
				return true
			}
		}
		return false
	}
	switch {
	case is(syscall.ENOSPC, syscall.EUSERS):
		return "the limit of namespaces, or of how deep they nest, is reached: " + err.Error(), "see the sysctls user.max_user_namespaces and user.max_net_namespaces"
	case is(syscall.ENOSYS, syscall.EINVAL):
		return "this kernel is built without the namespaces: " + err.Error(), "it needs CONFIG_USER_NS and CONFIG_NET_NS"
	case is(syscall.EPERM, syscall.EACCES) && (s.filtered || s.container != ""):
		where := "the system call filter around this process forbids new namespaces: "
		if s.container != "" {
			where = "this looks like a " + s.container + ", which forbids new namespaces: "
		}
		return where + err.Error(),
			"start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_PTRACE --security-opt apparmor=unconfined, or with a seccomp profile that allows unshare and clone with namespaces"
	case is(syscall.EPERM, syscall.EACCES) && root:
		return "root may not make namespaces here: " + err.Error(), "it takes CAP_SYS_ADMIN, or a user namespace, which a chroot forbids"
	}
	return "namespaces cannot be made: " + err.Error(), "run quiver as root"
}

// containerName guesses from the marks that container engines leave what is
// around this process; for texts only.
func containerName(getenv func(string) string, exists func(string) bool) string {
	switch name := getenv("container"); {
	case name != "" && len(name) < 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "":
		return name + " container"
	case exists("/.dockerenv"):
		return "Docker container"
	case exists("/run/.containerenv"):
		return "Podman container"
	case getenv("KUBERNETES_SERVICE_HOST") != "":
		return "Kubernetes container"
	}
	return ""
}

// statusField returns a field of /proc/PID/status.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// capabilities that a supervisor takes, by their numbers in capabilities(7).
var capabilities = []struct {
	number int
	name   string
}{{21, "CAP_SYS_ADMIN"}, {12, "CAP_NET_ADMIN"}, {13, "CAP_NET_RAW"}, {10, "CAP_NET_BIND_SERVICE"}, {19, "CAP_SYS_PTRACE"}}

// lacksCapabilities names those that are not in the hexadecimal set of
// /proc/PID/status.
func lacksCapabilities(set string) (lacks []string, err error) {
	var bits uint64
	if _, err := fmt.Sscanf(set, "%x", &bits); err != nil {
		return nil, fmt.Errorf("capabilities %q: %w", set, err)
	}
	for _, c := range capabilities {
		if bits&(1<<c.number) == 0 {
			lacks = append(lacks, c.name)
		}
	}
	return lacks, nil
}
