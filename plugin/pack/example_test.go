package pack_test

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
)

// A plugin becomes a package, is signed by its author, and judged where it shall run.
func Example() {
	m, err := pack.ParseManifest("manifest.json", []byte(`{
		"id": "org.example.watch", "version": "1.0.0",
		"abi": {"min": "1.0", "max": "1.0"},
		"roles": ["client", "server"], "mode": "local",
		"hooks": [{"op": "rtt_sample", "anchor": "after"}],
		"permissions": ["log"]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	author := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // use GenerateKey
	file, _ := pack.Seal([]byte("\x00asm\x01\x00\x00\x00"), m, nil)
	file, _ = pack.Sign(file, author, "")

	trust, err := pack.ParseTrust("trust.json", []byte(`{"keys": [{
		"name": "author", "key": "ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik",
		"ids": ["org.example.*"], "permissions": ["log", "count"]
	}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, _ := pack.Read("watch.wasm", file, 0)
	grant, err := pack.Judge(p, trust, true, time.Now())
	fmt.Println(grant.Permissions, grant.By, err)

	_, err = pack.Judge(p, &pack.Trust{}, true, time.Now())
	fmt.Println(err)
	// Output:
	// log key author (139e3940e64b5491) <nil>
	// watch.wasm: pq.sig: signed by key 139e3940e64b5491, which is not trusted: "quiver plugin trust add" takes it into the trust file
}
