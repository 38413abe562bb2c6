package plugin_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugins"
	"github.com/seed51309289/quiver/quic"
)

// A server whose connections all have a congestion controller from a file, and that offers its peers a plugin.
func ExampleHost() {
	load := func(name string) *plugin.Module {
		file, err := plugins.File(name)
		if err != nil {
			log.Fatal(err)
		}
		m, err := plugin.Load(context.Background(), name+".wasm", file, plugin.Policy{})
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	h := &plugin.Host{
		Attach: []plugin.Use{{Plugin: load("cc-cubic")}},
		Offer:  []plugin.Use{{Plugin: load("telemetry")}},
	}
	if err := h.Check(); err != nil {
		log.Fatal(err)
	}
	conf := &quic.Config{Extensions: h}
	fmt.Println(conf.Extensions.Exchange())
	// Output: false true
}

// A client that takes what its trust file allows, and keeps it for the next time.
func ExampleHost_accept() {
	trust, err := pack.LoadTrust("/etc/quiver/trust.json")
	if err != nil {
		trust = &pack.Trust{} // nobody
	}
	dir, err := cache.DefaultDir()
	if err != nil {
		log.Fatal(err)
	}
	kept, err := cache.Open(dir, cache.Options{})
	if err != nil {
		log.Fatal(err)
	}
	h := &plugin.Host{Accept: &plugin.Policy{Trust: trust}, Cache: kept}
	fmt.Println(h.Exchange())
}

// One plugin for one connection, without a Host.
func ExampleModule_New() {
	file, err := plugins.File("telemetry")
	if err != nil {
		log.Fatal(err)
	}
	m, err := plugin.Load(context.Background(), "telemetry.wasm", file, plugin.Policy{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	x, err := m.New()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(x.Info().ID) // now quic.Conn.Attach(x, config)
	// Output: io.github.seed51309289.quiver.telemetry
}

type counter struct{ lost int }

func (c *counter) Info() *hook.Info {
	return &hook.Info{ID: "org.example.counter", Version: "1.0.0", Hooks: []hook.HookDecl{{Op: hook.OpPacketLost, Anchor: hook.After}}}
}
func (c *counter) Attach(hook.Conn, *hook.AttachState) error { return nil }
func (c *counter) Detach(hook.DetachReason)                  {}
func (c *counter) PacketLost(*hook.PacketFate)               { c.lost++ }

// Go code goes where plugins go.
func ExampleNative() {
	h := &plugin.Host{Attach: []plugin.Use{{Plugin: plugin.Native(func() hook.Extension { return new(counter) })}}}
	fmt.Println(h.Check())
	// Output: <nil>
}

// What a plugin takes to begin.
func ExampleModule_Try() {
	file, err := plugins.File("cc-newreno")
	if err != nil {
		log.Fatal(err)
	}
	m, err := plugin.Load(context.Background(), "cc-newreno.wasm", file, plugin.Policy{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	took, err := m.Try()
	fmt.Println(took.Memory>>10, "KiB,", took.Calls, "call,", err)
	// Output: 64 KiB, 1 call, <nil>
}
