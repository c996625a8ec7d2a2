module generate

go 1.25.0
