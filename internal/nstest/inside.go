package nstest

import "os"

// inside is set in the processes that Enter starts.
const inside = "QUIVER_TEST_NAMESPACE"

// Inside reports whether this process is one that Enter started.
func Inside() bool { return os.Getenv(inside) != "" }
