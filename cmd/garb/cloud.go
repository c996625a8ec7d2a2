//go:build cloud

package main

// The build garb-cloud has the stores and formats that the default build leaves out for their size.
import (
	_ "garb/results/parquet"
	_ "garb/store/azure"
	_ "garb/store/gcs"
)
