return {NOBODY = NOBODY, NEW = NEW, int = int, wrong = wrong, faulty = faulty, stale = stale, tally = tally, shrink = shrink,
  gather = gather, dead_session = dead_session, bury = bury, drop_ghost = drop_ghost}
end
