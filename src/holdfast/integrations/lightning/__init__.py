"""Lightning: ``Trainer`` saves and loads our files, and resumes exactly.

    trainer = Trainer(plugins=[HoldfastIO()], callbacks=[ModelCheckpoint(every_n_train_steps=100), ExactResume()])
    trainer.fit(model, resumable(loader), ckpt_path="last")

files.py            ``HoldfastIO``, ``ModelCheckpoint``, ``load_from_checkpoint``
hyperparameters.py  classes of Lightning's and OmegaConf's in them
resume.py           ``ExactResume``
package.py          the package, by the name that the program calls it by
"""

from holdfast.integrations.lightning.files import HoldfastIO, ModelCheckpoint, load_from_checkpoint
from holdfast.integrations.lightning.resume import ExactResume

__all__ = ["ExactResume", "HoldfastIO", "ModelCheckpoint", "load_from_checkpoint"]
