package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Marks in a page, which a reader of the Markdown does not notice:
//
//	```console
//	$ garb classify photo.jpg                    is run, and its output is put below it
//	> --top 3                                    continues the line above
//	```
//	![…](pictures/NAME) <!-- runs/lab/FILE -->   the picture is copied from FILE
//	[…](pictures/NAME) <!-- draw NAME -->        the picture is drawn: see drawings
//	<!-- course: WORDS -->                       rows of docs/course.md are put here
//	<!-- course end -->
const (
	fenceBegin, fenceEnd   = "```console", "```"
	courseBegin, courseEnd = "<!-- course: ", "<!-- course end -->"
)

// fill puts the output of its commands and the rows of docs/course.md into a page. run runs
// the commands of one block.
func fill(
	text string,
	run func(commands []string) (printed []string, err error),
	rows func(words string) (string, error),
) (string, error) {
	var b strings.Builder
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		b.WriteString(lines[i])
		switch {
		case line == fenceBegin:
			end, err := findEnd(lines, i, fenceEnd)
			if err != nil {
				return "", err
			}
			commands := parseCommands(lines[i+1 : end])
			printed, err := run(commands)
			if err != nil {
				return "", err
			}
			for k, command := range commands {
				b.WriteString("$ " + strings.ReplaceAll(command, "\n", "\n> ") + "\n" + printed[k])
			}
			i = end - 1
		case strings.HasPrefix(line, courseBegin):
			end, err := findEnd(lines, i, courseEnd)
			if err != nil {
				return "", err
			}
			table, err := rows(strings.TrimSuffix(strings.TrimPrefix(line, courseBegin), " -->"))
			if err != nil {
				return "", err
			}
			b.WriteString("\n" + table + "\n")
			i = end - 1
		}
	}
	return b.String(), nil
}

// findEnd returns the index of the first line after begin that is the mark.
func findEnd(lines []string, begin int, mark string) (int, error) {
	for i := begin + 1; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == mark {
			return i, nil
		}
	}
	return 0, fmt.Errorf("line %d: %s is missing", begin+1, mark)
}

// parseCommands returns the commands of a block. A command may have several lines.
func parseCommands(lines []string) []string {
	var all []string
	continued := false
	for _, line := range lines {
		line = strings.TrimRight(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, command)
		} else if more, ok := strings.CutPrefix(line, "> "); ok && continued {
			all[len(all)-1] += "\n" + more
		}
		continued = len(all) > 0 && strings.HasSuffix(line, `\`)
	}
	return all
}

// picture is a picture that a page shows or links to, and its source.
type picture struct {
	file string // relative to the folder of the pages
	from string // a file, or "draw NAME"; "" if the page names no source
}

var pictureMark = regexp.MustCompile(`\]\(([^)\s]+\.(?:png|jpg|svg))\)(?: <!-- (.+?) -->)?`)

// findPictures returns the pictures of a page.
func findPictures(text string) []picture {
	var all []picture
	for _, m := range pictureMark.FindAllStringSubmatch(text, -1) {
		all = append(all, picture{file: m[1], from: m[2]})
	}
	return all
}

// course is the page with the longer runs.
const course = "docs/course.md"

// selectCourseRows returns a table with the rows of the course's page that contain the words.
// " | " separates alternatives.
func selectCourseRows(words string) (string, error) {
	text, err := os.ReadFile(course)
	if err != nil {
		return "", err
	}
	var table []string
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
		case len(table) < 2: // the head
			table = append(table, line)
		default:
			for _, w := range strings.Split(words, " | ") {
				if strings.Contains(line, w) {
					table = append(table, line)
					break
				}
			}
		}
	}
	if len(table) < 3 {
		return "", fmt.Errorf("%s has no row with %q", course, words)
	}
	return strings.Join(table, "\n") + "\n", nil
}
