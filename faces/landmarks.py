"""Which of the 468 points of MediaPipe's mesh is what; left and right are the picture's, not the person's.

The numbers are those of the MediaPipe face mesh without iris refinement.
"""

import numpy as np

FACE_OVAL = np.array(
    [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
    + [152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
)  # a closed ring from the top of the forehead, clockwise in the picture
LIPS_OUTER = np.array(
    [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]
)  # closed rings from the picture's left corner over the upper lip
LIPS_INNER = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95])
LEFT_EYE = np.array([33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7])
RIGHT_EYE = np.array([263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249])
LEFT_BROW = np.array([46, 53, 52, 65, 55, 70, 63, 105, 66, 107])  # lower line from outside, then upper line
RIGHT_BROW = np.array([276, 283, 282, 295, 285, 300, 293, 334, 296, 336])
NOSE = np.array([168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 94, 19])
EYE_CORNERS = np.array([33, 133, 362, 263])  # outer left, inner left, inner right, outer right
# What speech and expression move least: the bridge of the nose, the eyes' corners, temples and forehead.
RIGID = np.array(
    [168, 6, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 162, 389, 21, 251, 54, 284, 103, 332, 67, 297, 109, 338, 10]
)
CHEEKS = np.array([50, 280, 205, 425, 101, 330, 36, 266])
# The 68 points of iBUG 300-W as points of the mesh (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67).
IBUG68 = np.array(
    [127, 234, 93, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 323, 454, 356]
    + [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
    + [168, 197, 5, 4, 98, 97, 2, 326, 327]
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    + [61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91]
    + [78, 81, 13, 311, 308, 402, 14, 178]
)
