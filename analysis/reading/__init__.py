"""From the files of a study folder to Arrow tables. Private to the analysis."""
