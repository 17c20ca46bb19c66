-- A foreign key looks each row up by itself and locks what it refers to: four times a forecast and its score, a tenth
-- of a replay. Who writes forecasts sees to it that their models are there, once for all of a transaction; their
-- configs are those of their cycles, which keep the key; a score is of a forecast.
alter table forecasts
    drop constraint forecasts_model_id_fkey,
    drop constraint forecasts_prediction_config_id_fkey;
alter table scores
    drop constraint scores_model_id_fkey,
    drop constraint scores_prediction_config_id_fkey;
