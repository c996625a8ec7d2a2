package main

import "os"

// hangup is the signal to reload; nil if the system has none.
var hangup os.Signal
