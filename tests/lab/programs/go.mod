module lab.internal/programs

go 1.19
