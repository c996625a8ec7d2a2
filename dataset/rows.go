package dataset

// Row is a row of a table that names a picture that is there.
type Row struct {
	Path   string // of the picture
	Label  string // trimmed
	Line   int    // where the row begins, from 1
	Source *RowSource
}

// RowSource is a table with the places of its columns.
type RowSource struct {
	Table   *Table
	Columns Columns
	Classes []int // columns of a table with one for each class; nil with a label column
}
