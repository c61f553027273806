"""MythosLab: declare a looped transformer, train it, search around it, and measure what its loops are worth."""
