-- Stands before what scripts of the hot path share with others, and makes it one function. Redis runs a script's whole text at
-- each call, and each function in it is made anew: what a call seldom needs is made only where it does.
local function library()
