package hook_test

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
)

func TestEveryOperationIsFoundByItsName(t *testing.T) {
	for _, o := range hook.Ops() {
		if got, ok := hook.ParseOp(o.String()); !ok || got != o {
			t.Errorf("ParseOp(%q) = %v, %v, want %d", o, got, ok, o)
		}
		if a := o.Anchor(); a != 0 {
			if got, ok := hook.ParseAnchor(a.String()); !ok || got != a {
				t.Errorf("ParseAnchor(%q) = %v, %v, want %d", a, got, ok, a)
			}
		}
		if (o.Solo() || o.Shared()) && o.Anchor() != 0 && o.Anchor() != hook.Replace {
			t.Errorf("%v has an owner, but its anchor is %v", o, o.Anchor())
		}
	}
	if _, ok := hook.ParseOp(""); ok {
		t.Error("ParseOp finds an operation without a name")
	}
}

func TestEveryPermissionIsFoundByItsName(t *testing.T) {
	var all hook.Permission
	for _, p := range hook.Permissions() {
		if got, ok := hook.ParsePermission(p.String()); !ok || got != p {
			t.Errorf("ParsePermission(%q) = %v, %v, want %d", p, got, ok, p)
		}
		if all&p != 0 {
			t.Errorf("%v shares its bit with another permission", p)
		}
		all |= p
	}
}
