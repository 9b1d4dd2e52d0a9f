"""The invariants of delivery: functions from what was found to what is wrong with it.

I1  the committed steps of a partition tile its offsets, and their counts are right; so are those of
    its position and of its checkpoints, one for each step that opened an hour (`positions`)
I2  the flagged transactions, the kept scores, the totals, the spread and the labels are those of
    the offline pass, in every column (`tables`)
I3  no offset was committed to Kafka before the position was there, and some were (`kafka`)
I4  the journal holds every accepted transaction once, in offset order, in segments that do not
    overlap, each with what was accepted between its offsets, and none over a checkpoint (`journal`)
I5  the dead letters are exactly the bad messages, as they were, each with what is wrong with it
    (`tables`)
I6  after a fault the lag comes back to nothing, within a bound; while a member is silent, the
    others go on (`progress`)
I7  no password is in logs or headers (`passwords`)
"""
