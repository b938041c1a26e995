"""Tables of plain text."""

from edgernn.cli.text_tables import text_table


def test_columns_are_as_wide_as_asked_for_or_as_their_widest_cell():
    rows = [("name", "n", "share"), ("a longer one", 5, "1.0%"), ("b", 12345, "")]
    assert text_table(rows, "<", ">3", ">8") == [
        "name          n   share",
        "a longer one  5    1.0%",
        "b           12345",
    ]


def test_a_free_column_stands_behind_the_one_before():
    rows = [("a", "kind"), ("bb", ""), ("c", "two words")]
    assert text_table(rows, "<4", "") == ["a     kind", "bb", "c     two words"]


def test_a_row_with_fewer_cells_ends_in_a_free_one():
    rows = [("runtime", "version", "differing"), ("onnx", "failed: no such file"), ("tflite",)]
    assert text_table(rows, "<10", ">9", ">11") == [
        "runtime     version  differing",
        "onnx        failed: no such file",
        "  tflite",
    ]


def test_a_table_may_be_empty():
    assert text_table([], "<", ">7") == []
