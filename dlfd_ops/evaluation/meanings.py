"""What the numbers are called where people read them, in the report and on a version's page: one set of words."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, tuple[str, str]] = {
    "accuracy": ("Accuracy on people never trained on", "higher is better"),
    "accuracy_retain": ("Accuracy on the people it keeps", "higher is better"),
    "accuracy_forget": ("Accuracy on the forgotten people", "best at its accuracy on people never trained on"),
    "mia_auc": ("Attack: telling forgotten from unseen (AUC)", "0.5 is a coin toss"),
    "mia_auc_error": ("Attack: standard error of that AUC", "half with four times the people"),
    "loss_likeness": ("How alike a person's photos are to the model", "0 as those of strangers, 1 all the same"),
    "mia_accuracy": ("Attack: accuracy", "0.5 is a coin toss"),
    "mia_tpr_at_fpr_0.01": ("Attack: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "mia_tpr_at_fpr_0.001": ("Attack: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "mia_subject_auc": ("Attack on a person by all their photos (AUC)", "0.5 is a coin toss"),
    "confidence_auc": ("Attack by how sure the model is, without the truth (AUC)", "best at the retrained model's"),
    "confidence_tpr_at_fpr_0.01": ("The same: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "confidence_tpr_at_fpr_0.001": ("The same: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "confidence_subject_auc": ("The same, on a person by all their photos (AUC)", "best at the retrained model's"),
    "calibrated_auc": ("Attack that knows how hard a photo is (AUC)", "best at the retrained model's"),
    "calibrated_tpr_at_fpr_0.01": ("The same: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "calibrated_tpr_at_fpr_0.001": ("The same: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "calibrated_subject_auc": ("The same, on a person by all their photos (AUC)", "best at the retrained model's"),
    "rmia_auc": ("RMIA, a stronger attack of that kind (AUC)", "best at the retrained model's"),
    "rmia_tpr_at_fpr_0.01": ("RMIA: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "rmia_tpr_at_fpr_0.001": ("RMIA: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "rmia_subject_auc": ("RMIA on a person by all their photos (AUC)", "best at the retrained model's"),
    "probe_auc": ("Attack on the model's features (AUC)", "best at the retrained model's"),
    "relearn_steps": ("Training steps until the forgotten are known again", "best at the retrained model's"),
    "forgetting_score": ("Forgetting score", "0 is best"),
    "nomus": ("NoMUS: accuracy and forgetting in one", "1 is best"),
    "loss_distance": ("Distance between the two loss distributions", "0 is alike, 1 is apart"),
    "overshoot": ("Forgotten people stand out as too unknown", "yes would be bad"),
    "accuracy_drop": ("Accuracy lost against the original, when both were last measured", "0 is best"),
    "loss": ("Mean loss on people never trained on", "lower is better"),
    "loss_forget": ("Mean loss on the forgotten people", "best at the mean loss on people never trained on"),
    "ece": ("Calibration error", "0 is best"),
    "accuracy_validation": ("Accuracy on the validation people", "steered the unlearning; not a result"),
    "mia_auc_validation": ("Attack against the validation people (AUC)", "steered the unlearning; not a result"),
}
"""Metric -> what it measures, and how to read it; in the order in which they are shown."""

RULES: Mapping[str, str] = {
    "max_accuracy_drop": "Accuracy lost against the original, at most",
    "max_attack_auc_excess": "Attack AUC above the reference, at most",
    "max_overshoot": "Attack AUC below the reference, at most",
    "max_attack_auc_error": "Standard error of the attack AUC, at most",
    "max_calibrated_auc_excess": "Calibrated attack AUC above the retrained model's, at most",
    "min_nomus": "NoMUS, at least",
    "max_sequential_unlearnings": "Unlearnings since the last training, at most",
    "min_evidence": "Evidence, at least (0 is missing, 1 present, 2 signed)",
    "require_complete": "Requested photos or requests left out, at most",
}
"""Rule of the gate -> what it limits."""
