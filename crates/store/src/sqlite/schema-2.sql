-- Which store these rows are of, how many commits led to them, and the directory of its database. One row, or none
-- where nothing was ever stored. A copy of the rows says the same as the database that it was made of.
CREATE TABLE history (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    store TEXT NOT NULL,
    generation INTEGER NOT NULL,
    directory TEXT NOT NULL
) STRICT;
