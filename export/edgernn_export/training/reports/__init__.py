"""What recipes show in addition to their scores: tables of folds, of days ahead, and pictures."""
