// What is still true of a run when a new attempt has not said it yet.
#pragma once

#include "watch/job_picture.h"

namespace athanor {

/// `picture` of the attempt in hand, with what the ones before said of the run where it says nothing yet: what the run
/// is, how far it came, its accuracy, its checkpoints and what they cost.
watch::JobPicture with_older_news(watch::JobPicture picture, const watch::JobPicture& older);

}  // namespace athanor
