package dataset

// Row is a row of a table whose picture exists.
type Row struct {
	Path   string // of the picture
	Label  string // trimmed
	Line   int    // its first line, from 1
	Source *RowSource
}

// RowSource is a table with the indices of its columns.
type RowSource struct {
	Table   *Table
	Columns Columns
	Classes []int // the classes' columns of a one-hot table; nil for a table with a label column
}
